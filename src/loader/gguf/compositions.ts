import { byteSize, type DType, elements } from '../../tensor/dtype.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { StoredTensor } from '../model-files.ts';
import { quote } from '../../quote.ts';
import type { Composed } from './composed-checkpoint.ts';
import type { GgufCheckpoint } from './gguf-checkpoint.ts';
import { GgufError } from './gguf-error.ts';

/**
 * A stored stack of matrices or, with two dimensions, of vectors.
 * @throws {GgufError} when the file lacks it, or it has another number of dimensions, or another shape than `like`
 */
function stack(inner: GgufCheckpoint, name: string, dimensions: number, like?: StoredTensor): StoredTensor {
  const stored = inner.tensors.get(name);
  const fits = stored?.shape.length === dimensions && (like === undefined || sameShape(stored.shape, like.shape));
  if (stored !== undefined && fits) return stored;
  const wanted = like === undefined ? `${dimensions} dimensions` : `shape [${like.shape.join(', ')}]`;
  const got = stored === undefined ? 'there is none' : `got [${stored.shape.join(', ')}]`;
  throw new GgufError(`${inner.path}: tensor ${quote(name)}: expected ${wanted}, ${got}. Convert the model again.`);
}

/** Reads member `index` of a stored stack, whose first axis counts them. */
async function member(
  inner: GgufCheckpoint,
  name: string,
  index: number,
  dtype: DType,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const [, ...shape] = inner.tensors.get(name)!.shape;
  const bytes = new Uint8Array(elements(shape) * byteSize(dtype));
  await inner.read(name, dtype, bytes, signal, index * elements(shape));
  return bytes;
}

/** Writes the first row of each part, then the second of each, and so on. */
function interleaveRows(parts: readonly Uint8Array[], rowBytes: number, target: Uint8Array): void {
  const rows = target.length / rowBytes;
  for (let row = 0; row < rows; row++) {
    const from = Math.floor(row / parts.length) * rowBytes;
    target.set(parts[row % parts.length].subarray(from, from + rowBytes), row * rowBytes);
  }
}

/** Transposes a matrix `[rows, columns]` of elements of `width` bytes. */
function transpose(from: Uint8Array, rows: number, columns: number, width: number, target: Uint8Array): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = (row * columns + column) * width;
      target.set(from.subarray(at, at + width), (column * rows + row) * width);
    }
  }
}

/**
 * A projection of all experts of gpt-oss, whose rows are taken from `parts` in turn. In MXFP4 it is two tensors, codes `[E, out,
 * in / 32, 16]` and scales `[E, out, in / 32]`; else one of numbers, `[E, in, out]`.
 *
 * @param published The published name without a suffix.
 * @param parts The names of stored stacks `[E, out, in]`.
 */
export function gptOssExperts(inner: GgufCheckpoint, published: string, parts: readonly string[]): Composed[] {
  const stored = stack(inner, parts[0], 3);
  const all = parts.map((part) => stack(inner, part, 3, stored));
  const [E, rows, columns] = stored.shape;
  const O = rows * parts.length;
  const bytes = all.reduce((sum, part) => sum + part.bytes, 0);
  if (all.some((part) => part.format !== 'MXFP4'))
    return [
      {
        name: published,
        stored: { ...stored, shape: [E, columns, O], bytes },
        naturalDType: inner.naturalDType(parts[0]),
        members: E,
        readMember: async (index, dtype, target, signal) => {
          const members = await Promise.all(parts.map((part) => member(inner, part, index, dtype, signal)));
          const joined = new Uint8Array(target.length);
          interleaveRows(members, columns * byteSize(dtype), joined);
          transpose(joined, O, columns, byteSize(dtype), target);
        },
      },
    ];
  // The scales of an expert are read right after its codes, and lie between them in the file.
  let last: { index: number; blocks: Promise<Uint8Array> } | undefined;
  const blocksOf = (index: number, signal?: AbortSignal): Promise<Uint8Array> => {
    if (last?.index !== index) last = { index, blocks: readBlocks(index, signal) };
    return last.blocks;
  };
  const rowBytes = (columns / 32) * MXFP4_BYTES;
  const readBlocks = async (index: number, signal?: AbortSignal): Promise<Uint8Array> => {
    const own = parts.map(() => new Uint8Array(rows * rowBytes));
    for (const [i, part] of parts.entries()) await inner.readStored(part, index * rows * rowBytes, own[i], signal);
    if (own.length === 1) return own[0];
    const blocks = new Uint8Array(O * rowBytes);
    interleaveRows(own, rowBytes, blocks);
    return blocks;
  };
  const make = (
    suffix: string,
    shape: readonly number[],
    take: (blocks: Uint8Array, target: Uint8Array) => void,
  ): Composed => ({
    name: `${published}_${suffix}`,
    stored: { ...stored, shape: [E, O, columns / 32, ...shape], bytes: (bytes / MXFP4_BYTES) * elements(shape) },
    naturalDType: 'u8',
    members: E,
    readMember: async (index, dtype, target, signal) => {
      if (dtype !== 'u8')
        throw new GgufError(`${stored.file}: ${published}_${suffix} can be read as u8, got ${dtype}.`);
      take(await blocksOf(index, signal), target);
    },
  });
  return [make('blocks', [16], takeCodes), make('scales', [], takeScales)];
}

/** Bytes of a block: a scale, then the codes of 32 numbers. */
const MXFP4_BYTES = 17;

/** A byte holds the codes of numbers j and j + 16 in ggml's files, and of 2j and 2j + 1 in the published ones. */
function takeCodes(blocks: Uint8Array, target: Uint8Array): void {
  for (let at = 1, o = 0; at < blocks.length; at += MXFP4_BYTES, o += 16) {
    for (let j = 0; j < 8; j++) {
      const [first, second] = [blocks[at + 2 * j], blocks[at + 2 * j + 1]];
      target[o + j] = (first & 15) | ((second & 15) << 4);
      target[o + j + 8] = (first >> 4) | (second & 0xf0);
    }
  }
}

function takeScales(blocks: Uint8Array, target: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i] = blocks[i * MXFP4_BYTES];
}

/** The biases of a projection of all experts of gpt-oss, whose numbers are taken from `parts` in turn. */
export function gptOssBias(inner: GgufCheckpoint, published: string, parts: readonly string[]): Composed {
  const stored = stack(inner, parts[0], 2);
  for (const part of parts) stack(inner, part, 2, stored);
  const [E, width] = stored.shape;
  return {
    name: published,
    stored: { ...stored, shape: [E, width * parts.length], bytes: stored.bytes * parts.length },
    naturalDType: inner.naturalDType(parts[0]),
    members: E,
    readMember: async (index, dtype, target, signal) => {
      const members = await Promise.all(parts.map((part) => member(inner, part, index, dtype, signal)));
      interleaveRows(members, byteSize(dtype), target);
    },
  };
}

/**
 * DeepSeek's `kv_b_proj`, `[H * (nope + v), rank]`: in each head first the rows for keys, then those for values.
 * @param k The name of the stored keys, `[H, rank, nope]`.
 * @param v The name of the stored values, `[H, v, rank]`.
 */
export function latentKeysAndValues(inner: GgufCheckpoint, published: string, k: string, v: string): Composed {
  const [keys, values] = [stack(inner, k, 3), stack(inner, v, 3)];
  const [H, rank, nope] = keys.shape;
  const valueDim = values.shape[1];
  if (!sameShape(values.shape, [H, valueDim, rank]))
    throw new GgufError(
      `${inner.path}: tensor ${quote(v)}: expected ${H} matrices of ${rank} columns, as in ${quote(k)}, ` +
        `got [${values.shape.join(', ')}]. Convert the model again.`,
    );
  return {
    name: published,
    stored: { ...keys, shape: [H * (nope + valueDim), rank], bytes: keys.bytes + values.bytes },
    naturalDType: inner.naturalDType(k),
    members: H,
    readMember: async (index, dtype, target, signal) => {
      const width = byteSize(dtype);
      transpose(await member(inner, k, index, dtype, signal), rank, nope, width, target);
      target.set(await member(inner, v, index, dtype, signal), nope * rank * width);
    },
  };
}
