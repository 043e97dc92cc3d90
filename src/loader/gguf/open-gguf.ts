import type { LinkOptions } from '../files/model-folder.ts';
import { f32 } from '../../tensor/formats/f32.ts';
import type { ModelFiles } from '../model-files.ts';
import { quote } from '../../quote.ts';
import { ARCHITECTURES } from './architectures.ts';
import { type GgufArchitecture, publishedName } from './gguf-architecture.ts';
import { MIXTRAL } from './mixtures.ts';
import { GgufCheckpoint, type NamedTensor } from './gguf-checkpoint.ts';
import { ComposedCheckpoint } from './composed-checkpoint.ts';
import { dimensions, ggufConfig, ggufGenerationConfig, type TensorFacts } from './gguf-config.ts';
import { GgufError } from './gguf-error.ts';
import type { Metadata } from './metadata.ts';
import { type GgufParts, type LocatedTensor, openParts } from './gguf-parts.ts';
import { transpose } from './restore.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { noteOnUnknownKeys } from './unknown-keys.ts';

/** Divisors of the rotary frequencies, which become `rope_scaling` in config.json. */
const ROPE_DIVISORS = 'rope_freqs.weight';

/** LongRoPE's divisors for long and for short texts, which become `rope_scaling` as well. */
const ROPE_FACTORS = { long: 'rope_factors_long.weight', short: 'rope_factors_short.weight' };

/** The largest number of matrices in a stack of experts, and in all stacks; published models have far fewer. */
const MAX_MEMBERS = 4096;
const MAX_ALL_MEMBERS = 2 ** 18;

/**
 * Opens a GGUF file, or all parts of a model, with the tensor names, shapes and config.json of the published model. Only headers
 * are read here; the checkpoint reads tensors one by one, decodes them and restores the published order of rows.
 *
 * @param path The file, or any of the parts.
 * @throws {GgufError} when a file is malformed or a part is missing, and when the architecture, a tensor or the tokenizer is not
 *   supported
 */
export async function openGguf(path: string, links: LinkOptions = {}): Promise<ModelFiles> {
  const parts = await openParts(path, links);
  try {
    const { metadata, tensors } = parts;
    const architecture = architectureOf(metadata);
    const embedding = tensors.get('token_embd.weight')?.shape;
    if (embedding?.length !== 2) {
      const got = embedding === undefined ? 'none' : `[${embedding.join(', ')}]`;
      throw new GgufError(
        `${metadata.file}: expected a tensor "token_embd.weight" of two dimensions, got ${got}. Convert the model again.`,
      );
    }
    const config = ggufConfig(metadata, {
      architecture,
      has: (name) => tensors.has(name),
      typeOf: (name) => tensors.get(name)?.type.name,
      vocabSize: embedding[0],
      ropeDivisors: await readDivisors(parts, ROPE_DIVISORS),
      ropeFactors: await readRopeFactors(parts),
    });
    return {
      source: path,
      config,
      generationConfig: ggufGenerationConfig(metadata),
      tokenizer: ggufTokenizer(metadata),
      checkpoint: checkpointOf(parts, architecture),
      notes: [...parts.notes, ...noteOnUnknownKeys(metadata)],
    };
  } catch (error) {
    await Promise.all(parts.files.map((file) => file.close()));
    throw error;
  }
}

function architectureOf(metadata: Metadata): GgufArchitecture {
  const name = metadata.need('text', 'general.architecture');
  if (name === 'llama' && (metadata.get('integer', 'llama.expert_count') ?? 0) > 0) return MIXTRAL;
  if (Object.hasOwn(ARCHITECTURES, name)) return ARCHITECTURES[name];
  const known = Object.keys(ARCHITECTURES).join(', ');
  return metadata.fail(
    'general.architecture',
    `expected one of ${known}, got ${quote(name)}`,
    'Use the safetensors version of the model if Vitrine supports its architecture.',
  );
}

/** The published name of each tensor, and the changes to undo. Throws for a tensor that the architecture does not have. */
function namedTensors({ metadata, tensors }: GgufParts, row: GgufArchitecture): NamedTensor[] {
  const { heads, kvHeads } = dimensions(metadata);
  const interleaved = row.interleavedRope ? { attn_q: heads, attn_k: kvHeads } : {};
  const isRotated = (part: string | undefined): part is 'attn_q' | 'attn_k' =>
    part !== undefined && Object.hasOwn(interleaved, part);
  let members = 0;
  return [...tensors].flatMap(([stored, tensor]) => {
    const { path } = tensor.file;
    if ([ROPE_DIVISORS, ROPE_FACTORS.long, ROPE_FACTORS.short].includes(stored)) return [];
    const inBlock = stored.replace(/^blk\.\d+\./, '');
    // Parts keep their stored names, by which `compose` finds them.
    const name = row.parts?.includes(inBlock) ? stored : publishedName(row, stored);
    if (name === undefined) {
      throw new GgufError(
        `${path}: tensor ${quote(stored)} does not belong to the architecture ${row.modelType}. ` +
          `Use the safetensors version of the model.`,
      );
    }
    const part = stored.split('.')[2] as string | undefined;
    const interleavedHeads = isRotated(part) ? interleaved[part]! : 0;
    if (interleavedHeads > 0 && tensor.shape[0] % (2 * interleavedHeads) !== 0) {
      throw new GgufError(
        `${path}: tensor ${quote(stored)}: expected an even number of rows for each of ${interleavedHeads} ` +
          `heads, got ${tensor.shape[0]} rows.`,
      );
    }
    if (name.includes('*')) {
      members += tensor.shape[0] ?? 0;
      if (members > MAX_ALL_MEMBERS)
        throw new GgufError(`${path}: expected at most ${MAX_ALL_MEMBERS} matrices of experts in all layers.`);
      return membersOf(name, tensor);
    }
    const transposed = row.transposed?.test(inBlock) ?? false;
    const restore = transposed ? transpose : row.restore?.(inBlock, heads);
    const published = transposed ? { ...tensor, shape: tensor.shape.toReversed() } : tensor;
    return [{ name, tensor: published, interleavedHeads, restore }];
  });
}

/** The members of a stack as tensors. */
function membersOf(name: string, tensor: LocatedTensor): NamedTensor[] {
  const [count, ...shape] = tensor.shape;
  if (count > MAX_MEMBERS || shape.length !== 2)
    throw new GgufError(
      `${tensor.file.path}: stack of ${quote(name)}: expected a stack of up to ${MAX_MEMBERS} matrices, ` +
        `got [${tensor.shape.join(', ')}].`,
    );
  const bytes = tensor.bytes / count;
  return Array.from({ length: count }, (_, index) => ({
    name: name.replace('*', String(index)),
    tensor: { ...tensor, shape, bytes, position: tensor.position + index * bytes },
    interleavedHeads: 0,
  }));
}

function checkpointOf(parts: GgufParts, row: GgufArchitecture): GgufCheckpoint | ComposedCheckpoint {
  const inner = new GgufCheckpoint(parts.files, namedTensors(parts, row));
  const { compose, parts: own = [] } = row;
  if (compose === undefined) return inner;
  const layers = Array.from({ length: dimensions(parts.metadata).layers }, (_, layer) => layer);
  const composed = layers.flatMap((layer) => compose(inner, `blk.${layer}.`, `model.layers.${layer}.`));
  return new ComposedCheckpoint(
    inner,
    composed,
    new Set(layers.flatMap((layer) => own.map((part) => `blk.${layer}.${part}`))),
  );
}

async function readRopeFactors(parts: GgufParts): Promise<TensorFacts['ropeFactors']> {
  const long = await readDivisors(parts, ROPE_FACTORS.long);
  const short = await readDivisors(parts, ROPE_FACTORS.short);
  if ((long === undefined) !== (short === undefined))
    throw new GgufError(
      `${parts.metadata.file}: expected both "${ROPE_FACTORS.long}" and "${ROPE_FACTORS.short}" or neither, got one of them.`,
    );
  return long && short && { long, short };
}

/** The divisors in a tensor, one for each rotary frequency; undefined where the file does not have it. */
async function readDivisors({ tensors }: GgufParts, name: string): Promise<Float32Array | undefined> {
  const tensor = tensors.get(name);
  if (tensor === undefined) return undefined;
  const { file, type, bytes, position } = tensor;
  if (type.format !== f32) throw new GgufError(`${file.path}: tensor "${name}": expected F32, got ${type.name}.`);
  // One divisor for each pair of a head's dimensions: 1,024 are more than any model has.
  if (bytes > 4096) throw new GgufError(`${file.path}: tensor "${name}": expected up to 4096 bytes, got ${bytes}.`);
  const divisors = new Float32Array(bytes / 4);
  await file.read(new Uint8Array(divisors.buffer), position);
  return divisors;
}
