import { byteSize, type DType, elements } from '../../tensor/dtype.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Checkpoint, StoredTensor } from '../model-files.ts';
import { quote } from '../../quote.ts';
import type { GgufCheckpoint } from './gguf-checkpoint.ts';
import { GgufError } from './gguf-error.ts';

/** A published tensor that llama.cpp's conversion took apart: made again of several, one member of it at a time. */
export interface Composed {
  readonly name: string;
  readonly stored: StoredTensor;
  readonly naturalDType: DType;
  /** Equal parts, one after the other, such as the experts of a stack. */
  readonly members: number;
  readonly readMember: (index: number, dtype: DType, target: Uint8Array, signal?: AbortSignal) => Promise<void>;
}

/** The tensors of a GGUF file, where some of them are parts of the published ones. */
export class ComposedCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  private readonly inner: GgufCheckpoint;
  private readonly composed: ReadonlyMap<string, Composed>;

  /** @param parts Tensors of `inner` that are no published ones. */
  constructor(inner: GgufCheckpoint, composed: readonly Composed[], parts: ReadonlySet<string>) {
    this.inner = inner;
    this.composed = new Map(composed.map((it) => [it.name, it]));
    const own = [...inner.tensors].filter(([name]) => !parts.has(name));
    this.tensors = new Map([...own, ...composed.map((it) => [it.name, it.stored] as const)]);
  }

  naturalDType(name: string): DType {
    return this.composed.get(name)?.naturalDType ?? this.inner.naturalDType(name);
  }

  async read(name: string, dtype: DType, target: Uint8Array, signal?: AbortSignal, first?: number): Promise<void> {
    const found = this.composed.get(name);
    if (found === undefined) return this.inner.read(name, dtype, target, signal, first);
    const { stored, members, readMember } = found;
    const memberBytes = (elements(stored.shape) / members) * byteSize(dtype);
    const [from, count] = [((first ?? 0) * byteSize(dtype)) / memberBytes, target.length / memberBytes];
    const fits = first === undefined ? count === members : from + count <= members;
    if (!fits || !Number.isInteger(from) || !Number.isInteger(count))
      throw new GgufError(
        `${stored.file}: tensor ${quote(name)}: it can be read in ${members} parts of ${memberBytes} bytes, ` +
          `got ${target.length} bytes from element ${first ?? 0} on.`,
      );
    for (let i = 0; i < count; i++)
      await readMember(from + i, dtype, target.subarray(i * memberBytes, (i + 1) * memberBytes), signal);
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

/** A stored stack of matrices or, with two dimensions, of vectors; those of `like` must have its shape. */
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

/** Takes a row of each in turn: gate and up of gpt-oss. */
function alternate(parts: readonly Uint8Array[], rowBytes: number, target: Uint8Array): void {
  const rows = target.length / rowBytes;
  for (let row = 0; row < rows; row++) {
    const from = Math.floor(row / parts.length) * rowBytes;
    target.set(parts[row % parts.length].subarray(from, from + rowBytes), row * rowBytes);
  }
}

/** `[rows, columns]` of `width` bytes each, the other way round. */
function transpose(from: Uint8Array, rows: number, columns: number, width: number, target: Uint8Array): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = (row * columns + column) * width;
      target.set(from.subarray(at, at + width), (column * rows + row) * width);
    }
  }
}

/**
 * gpt-oss: a projection of all experts, whose rows come from `parts` in turn. In MXFP4 it is codes and factors, in numbers
 * `[in, out]`.
 *
 * @param published Its name without a suffix.
 * @param parts Stored stacks `[E, out, in]`.
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
          const own = await Promise.all(parts.map((part) => member(inner, part, index, dtype, signal)));
          const joined = new Uint8Array(target.length);
          alternate(own, columns * byteSize(dtype), joined);
          transpose(joined, O, columns, byteSize(dtype), target);
        },
      },
    ];
  // Factors are asked for right after the codes of the same expert, and lie between them in the file.
  let last: { index: number; blocks: Promise<Uint8Array> } | undefined;
  const blocksOf = (index: number, signal?: AbortSignal): Promise<Uint8Array> => {
    if (last?.index !== index) last = { index, blocks: alternated(index, signal) };
    return last.blocks;
  };
  const rowBytes = (columns / 32) * MXFP4_BYTES;
  const alternated = async (index: number, signal?: AbortSignal): Promise<Uint8Array> => {
    const own = parts.map(() => new Uint8Array(rows * rowBytes));
    for (const [i, part] of parts.entries()) await inner.readStored(part, index * rows * rowBytes, own[i], signal);
    if (own.length === 1) return own[0];
    const blocks = new Uint8Array(O * rowBytes);
    alternate(own, rowBytes, blocks);
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
  return [make('blocks', [16], takeCodes), make('scales', [], takeFactors)];
}

/** A factor and the codes of 32 numbers. */
const MXFP4_BYTES = 17;

/** ggml has number j beside number j + 16 in a byte, the published files 2j beside 2j + 1. */
function takeCodes(blocks: Uint8Array, target: Uint8Array): void {
  for (let at = 1, o = 0; at < blocks.length; at += MXFP4_BYTES, o += 16) {
    for (let j = 0; j < 8; j++) {
      const [first, second] = [blocks[at + 2 * j], blocks[at + 2 * j + 1]];
      target[o + j] = (first & 15) | ((second & 15) << 4);
      target[o + j + 8] = (first >> 4) | (second & 0xf0);
    }
  }
}

function takeFactors(blocks: Uint8Array, target: Uint8Array): void {
  for (let i = 0; i < target.length; i++) target[i] = blocks[i * MXFP4_BYTES];
}

/** gpt-oss: the biases of gate and up, number by number. */
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
      const own = await Promise.all(parts.map((part) => member(inner, part, index, dtype, signal)));
      alternate(own, byteSize(dtype), target);
    },
  };
}

/** DeepSeek: `kv_b`, head by head the rows that make keys and those that make values; keys are stored `[H, rank, nope]`. */
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
