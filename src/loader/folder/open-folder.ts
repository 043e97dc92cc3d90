import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { readTokenizerFiles } from '../../tokenizer/tokenizer-files.ts';
import type { ModelFiles } from '../model-files.ts';
import { isGgufName } from '../gguf/find-gguf.ts';
import { LoadError } from '../load-error.ts';
import { type LinkOptions, ModelFolder } from '../files/model-folder.ts';
import { SafetensorsCheckpoint } from '../safetensors/safetensors-checkpoint.ts';
import { readSafetensors } from '../safetensors/open-safetensors.ts';
import { INDEX_NAME, openShards, SINGLE_NAME } from '../safetensors/shards.ts';

const MAX_CONFIG_BYTES = 4_000_000;
const PICKLE = /\.(bin|pt|pth|pkl)$/;

/**
 * Opens a model folder in the layout of the Hugging Face hub: config.json, generation_config.json, the tokenizer's files, and the
 * weights in model.safetensors or, where that is missing, in the files that model.safetensors.index.json names. No code in the
 * folder is executed.
 * @throws {LoadError} when a file is missing, malformed or a link that leads out of the folder; it names the file
 */
export async function openFolder(path: string, options: LinkOptions = {}): Promise<ModelFiles> {
  const names = await listFolder(path);
  if (!names.includes('config.json')) throw new LoadError(await withoutConfig(path, names));
  const folder = new ModelFolder(path, options);

  const config = await folder.readJson('config.json', MAX_CONFIG_BYTES);
  const generationConfig = names.includes('generation_config.json')
    ? await folder.readJson('generation_config.json', MAX_CONFIG_BYTES)
    : undefined;
  const tokenizer = await readTokenizerFiles(folder);
  const checkpoint = await openWeights(folder, names);
  const notes: string[] = [];
  if ('auto_map' in config) notes.push('config.json refers to Python code (auto_map), which is not executed.');
  if (names.includes(SINGLE_NAME) && names.includes(INDEX_NAME))
    notes.push(`${INDEX_NAME} is ignored: ${SINGLE_NAME} is there.`);
  return { source: path, config, generationConfig, tokenizer, checkpoint, notes: [...notes, ...folder.notes] };
}

async function openWeights(folder: ModelFolder, names: readonly string[]): Promise<SafetensorsCheckpoint> {
  if (names.includes(SINGLE_NAME))
    return new SafetensorsCheckpoint([await readSafetensors(await folder.open(SINGLE_NAME))]);
  if (!names.includes(INDEX_NAME)) throw new LoadError(withoutWeights(folder.path, names));
  const { files, fileOf } = await openShards(folder, names);
  return new SafetensorsCheckpoint(files, fileOf);
}

async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new LoadError(`${path}: no such folder.${await similarTo(path)}`, { cause });
    if (code !== 'ENOTDIR') throw new LoadError(`${path}: ${message}`, { cause });
    const advice = path.endsWith('.safetensors') ? `It holds weights only: load its folder, ${dirname(path)}.` : '';
    throw new LoadError(`${path}: expected a model folder or a .gguf file, got another file. ${advice}`.trimEnd(), {
      cause,
    });
  }
}

/** A question that names the entry beside the missing one with the longest common beginning; '' where none shares half of it. */
async function similarTo(path: string): Promise<string> {
  const wanted = basename(path).toLowerCase();
  const siblings = await readdir(dirname(path)).catch(() => []);
  const shared = (name: string): number => {
    let length = 0;
    while (length < wanted.length && name.toLowerCase()[length] === wanted[length]) length++;
    return length;
  };
  const nearest = siblings.sort((a, b) => shared(b) - shared(a)).at(0);
  if (nearest === undefined || shared(nearest) < wanted.length / 2) return '';
  return ` Did you mean ${join(dirname(path), nearest)}?`;
}

async function withoutConfig(path: string, names: readonly string[]): Promise<string> {
  const problem = `${path}: expected a model folder, but it has no config.json.`;
  const gguf = names.find(isGgufName);
  if (gguf !== undefined) return `${problem} Did you mean ${join(path, gguf)}?`;
  for (const name of names) {
    const inner = join(path, name);
    if (
      await stat(join(inner, 'config.json')).then(
        () => true,
        () => false,
      )
    )
      return `${problem} Did you mean ${inner}?`;
  }
  return `${problem} Fetch the whole repository of the model, not only its weights.`;
}

function withoutWeights(path: string, names: readonly string[]): string {
  const problem = `${path}: expected ${SINGLE_NAME} or ${INDEX_NAME}, found neither.`;
  const pickle = names.find((name) => PICKLE.test(name));
  if (pickle !== undefined) {
    return (
      `${problem} ${pickle} is a pickle, which can run any code when it is opened, and is refused. Convert it with Python: ` +
      `transformers' AutoModelForCausalLM.from_pretrained('${path}').save_pretrained('NEW_FOLDER').`
    );
  }
  const other = names.filter((name) => name.endsWith('.safetensors'));
  if (other.length > 1)
    return `${problem} It has ${other.length} other .safetensors files: fetch ${INDEX_NAME} as well.`;
  if (other.length === 1) return `${problem} Did you mean ${other[0]}? Rename it to ${SINGLE_NAME}.`;
  return `${problem} Fetch the weights as well.`;
}
