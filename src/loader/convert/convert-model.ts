import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import { isObject } from '../../json.ts';
import { byteSize, elements } from '../../tensor/dtype.ts';
import type { Checkpoint, ModelFiles } from '../model-files.ts';
import { withSpace } from '../files/disk-space.ts';
import { openGguf } from '../gguf/open-gguf.ts';
import { LoadError } from '../load-error.ts';
import { quote } from '../../quote.ts';
import {
  CALLBACK,
  type Check,
  checkArgument,
  type Checks,
  checkOptions,
  isRecord,
  numbers,
  oneOf,
  PATH,
  SIGNAL,
} from '../../options.ts';
import type { OnProgress } from '../progress.ts';
import { writeSafetensors, type TensorToWrite } from '../safetensors/write-safetensors.ts';
import { replaceComplete } from '../files/make-complete.ts';

/** How to convert a model. */
export interface ConvertOptions {
  /** The dtype of every tensor that is written; MXFP4 stays as it is. Default `bf16`. */
  readonly dtype?: 'bf16' | 'f16' | 'f32';
  /** Bytes of weights written so far and in all. */
  readonly onProgress?: OnProgress;
  /** Stops the conversion between two reads; nothing is left behind. */
  readonly signal?: AbortSignal;
  /** Bytes of tensors above which a further safetensors file is begun. Default 5 GB, as on the hub. */
  readonly maxFileBytes?: number;
}

const CHECKS: Checks<ConvertOptions> = {
  dtype: oneOf('bf16', 'f16', 'f32'),
  onProgress: CALLBACK,
  signal: SIGNAL,
  maxFileBytes: numbers('a number of bytes above 0', (x) => x > 0),
};
const SOURCE: Check = {
  words: 'the path of a GGUF file, or a result of openModel',
  holds: (value) => PATH.holds(value) || (isRecord(value) && isRecord(value.config) && isRecord(value.checkpoint)),
};

const STORED = { bf16: 'BF16', f16: 'F16', f32: 'F32', u8: 'U8' } as const;
const TORCH = { bf16: 'bfloat16', f16: 'float16', f32: 'float32' } as const;

/** The key in config.json that marks a folder as an output, which a later conversion may replace. */
const MARK = 'vitrine_converted_from';
const OUTPUTS =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json$|^model.*\.safetensors(\.index\.json)?$|^chat_template\.jinja$|^additional_chat_templates$/;

/**
 * Writes a model as a Hugging Face folder: config.json, generation_config.json, model.safetensors (several with an index
 * where it is large), tokenizer.json, tokenizer_config.json, chat_template.jinja and
 * additional_chat_templates/tool_use.jinja.
 * One tensor is in memory at a time. The folder appears when it is complete; after an error or an abort nothing does.
 *
 * @param source The path of a GGUF file, or an opened model, which stays open.
 * @param outFolder A folder that is missing, empty, or an earlier output of this function, which is replaced.
 * @throws {LoadError} when the folder holds other files, or a tensor cannot be written
 */
export async function convert(
  source: string | ModelFiles,
  outFolder: string,
  options: ConvertOptions = {},
): Promise<void> {
  checkArgument('convert', 'source', source, SOURCE);
  checkArgument('convert', 'outFolder', outFolder, PATH);
  checkOptions('convert', options, CHECKS);
  const out = resolve(outFolder);
  await refuseOtherFiles(out);
  const model = typeof source === 'string' ? await openGguf(source) : source;
  try {
    if (hasScales(model.config)) {
      throw new LoadError(
        `convert ${model.source}: expected weights that are not quantised, or MXFP4, got weights with scales ` +
          `(quantization_config in config.json). Load the model as it is.`,
      );
    }
    await mkdir(dirname(out), { recursive: true });
    await replaceComplete(out, async (folder) => {
      await withSpace(out, weightBytes(model, options), async () => {
        await mkdir(folder);
        await writeDescription(model, folder, TORCH[options.dtype ?? 'bf16']);
        await writeWeights(model, folder, options);
      });
      options.signal?.throwIfAborted();
    });
  } finally {
    if (typeof source === 'string') await model.checkpoint.close();
  }
}

/** Whether the weights have scales that could not be written; MXFP4's codes and scales are written as bytes. */
function hasScales({ quantization_config: quantisation }: ModelFiles['config']): boolean {
  return quantisation !== undefined && !(isObject(quantisation) && quantisation.quant_method === 'mxfp4');
}

async function refuseOtherFiles(folder: string): Promise<void> {
  const entries = await readdir(folder).catch((error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    throw new LoadError(`convert: ${folder} cannot be written: ${message}. Choose another folder.`);
  });
  if (entries.length === 0) return;
  const config = await readFile(join(folder, 'config.json'), 'utf8').catch(() => '');
  const foreign = entries.find((entry) => !OUTPUTS.test(entry));
  if (foreign === undefined && config.includes(`"${MARK}"`)) return;
  throw new LoadError(
    `convert: expected ${folder} to be missing, empty or an earlier output of convert, ` +
      `got a folder with ${quote(foreign ?? entries[0])}. Choose another folder, or remove this one.`,
  );
}

async function writeDescription(
  { source, config, generationConfig, tokenizer }: ModelFiles,
  folder: string,
  torch: string,
) {
  const write = (name: string, value: unknown) => writeFile(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  // `dtype` is how transformers 5 spells `torch_dtype`; both versions read the older one.
  await write('config.json', { ...config, dtype: undefined, torch_dtype: torch, [MARK]: basename(source) });
  if (generationConfig !== undefined) await write('generation_config.json', generationConfig);
  if (tokenizer === undefined) return;
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer.tokenizer));
  await write('tokenizer_config.json', tokenizer.config);
  if (tokenizer.specialTokensMap) await write('special_tokens_map.json', tokenizer.specialTokensMap);
  if (tokenizer.addedTokens) await write('added_tokens.json', tokenizer.addedTokens);
  if (tokenizer.chatTemplate !== undefined)
    await writeFile(join(folder, 'chat_template.jinja'), tokenizer.chatTemplate);
  if (tokenizer.chatTemplate !== undefined && tokenizer.toolTemplate !== undefined) {
    await mkdir(join(folder, 'additional_chat_templates'));
    await writeFile(join(folder, 'additional_chat_templates', 'tool_use.jinja'), tokenizer.toolTemplate);
  }
}

/** The dtype and the bytes of each tensor as it is written. */
function outputOf(checkpoint: Checkpoint, { dtype = 'bf16' }: ConvertOptions) {
  const dtypeOf = (name: string) => (checkpoint.naturalDType(name) === 'u8' ? 'u8' : dtype);
  const bytesOf = (name: string) => elements(checkpoint.tensors.get(name)!.shape) * byteSize(dtypeOf(name));
  return { dtypeOf, bytesOf };
}

function weightBytes({ checkpoint }: ModelFiles, options: ConvertOptions): number {
  const { bytesOf } = outputOf(checkpoint, options);
  return [...checkpoint.tensors.keys()].reduce((sum, name) => sum + bytesOf(name), 0);
}

async function writeWeights(
  { source, checkpoint }: ModelFiles,
  folder: string,
  options: ConvertOptions,
): Promise<void> {
  const { onProgress, signal, maxFileBytes = 5e9 } = options;
  const { dtypeOf, bytesOf } = outputOf(checkpoint, options);
  const names = [...checkpoint.tensors.keys()].sort();
  const total = names.reduce((sum, name) => sum + bytesOf(name), 0);
  // One buffer for all: the writer has written a tensor before it asks for the next one.
  const buffer = new Uint8Array(Math.max(0, ...names.map(bytesOf)));
  let loaded = 0;

  const tensor = (name: string): TensorToWrite => ({
    dtype: STORED[dtypeOf(name)],
    shape: checkpoint.tensors.get(name)!.shape,
    data: async () => {
      const bytes = buffer.subarray(0, bytesOf(name));
      await checkpoint.read(name, dtypeOf(name), bytes, signal);
      if (dtypeOf(name) === 'f16' && hasInfinity(bytes)) {
        throw new LoadError(
          `convert ${source}: tensor ${quote(name)} has values beyond the range of f16. Choose bf16 or f32.`,
        );
      }
      onProgress?.({ label: 'weights', loaded: (loaded += bytes.length), total });
      return bytes;
    },
  });

  const files = divide(names, bytesOf, maxFileBytes);
  const fileName = (index: number) =>
    files.length === 1 ? 'model.safetensors' : `model-${digits(index + 1)}-of-${digits(files.length)}.safetensors`;
  for (const [index, inFile] of files.entries()) {
    const entries = inFile.map((name) => [name, tensor(name)] as const);
    await writeSafetensors(join(folder, fileName(index)), entries, { format: 'pt' });
  }
  if (files.length > 1) {
    const weightMap = Object.fromEntries(files.flatMap((inFile, i) => inFile.map((name) => [name, fileName(i)])));
    const index = { metadata: { total_size: total }, weight_map: weightMap };
    await writeFile(join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
  }
}

const digits = (n: number): string => String(n).padStart(5, '0');

/** Groups of names in order, each of at most `limit` bytes unless a single tensor is larger. */
function divide(names: readonly string[], bytesOf: (name: string) => number, limit: number): string[][] {
  const files: string[][] = [[]];
  let room = limit;
  for (const name of names) {
    const bytes = bytesOf(name);
    if (bytes > room && files.at(-1)!.length > 0) {
      files.push([]);
      room = limit;
    }
    files.at(-1)!.push(name);
    room -= bytes;
  }
  return files;
}

function hasInfinity(halves: Uint8Array): boolean {
  for (let i = 0; i < halves.length; i += 2) if ((halves[i + 1] & 0x7f) === 0x7c && halves[i] === 0) return true;
  return false;
}
