import { elements, byteSize, type DType } from '../../tensor/dtype.ts';
import type { Checkpoint, StoredTensor } from '../model-files.ts';
import { floatConversion, readConverted } from '../files/decode-blocks.ts';
import type { InputFile } from '../files/input-file.ts';
import { quote } from '../../quote.ts';
import { GgufError } from './gguf-error.ts';
import type { LocatedTensor } from './gguf-parts.ts';
import type { Restore } from './restore.ts';
import { READABLE_TYPES } from './gguf-types.ts';

/** A tensor of a GGUF file, its published name, and the changes by llama.cpp's conversion to undo. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: LocatedTensor;
  /** The number of heads whose rows are in the interleaved layout and become half-split; 0 where no rows are permuted. */
  readonly interleavedHeads: number;
  /** Undoes another change. */
  readonly restore?: Restore | undefined;
}

/** The tensors of GGUF files by their published names, with rows in the published order. */
export class GgufCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #named: ReadonlyMap<string, NamedTensor>;
  readonly #files: readonly InputFile[];

  /** The path of the first file, for errors about tensors that are missing. */
  get path(): string {
    return this.#files[0].path;
  }

  /**
   * @param files The open files, which `close` closes.
   * @throws {GgufError} when a tensor has a type that cannot be decoded
   */
  constructor(files: readonly InputFile[], named: readonly NamedTensor[]) {
    for (const { name, tensor } of named) {
      if (tensor.type.format === undefined) {
        throw new GgufError(
          `${tensor.file.path}: tensor ${quote(name)} is stored as ${tensor.type.name}, which cannot be read. ` +
            `Use a version of the model in one of ${READABLE_TYPES.join(', ')}.`,
        );
      }
    }
    this.#files = files;
    this.#named = new Map(named.map((it) => [it.name, it]));
    this.tensors = new Map(
      named.map(({ name, tensor: { type, shape, bytes, file } }) => [
        name,
        { format: type.name, shape, bytes, file: file.path },
      ]),
    );
  }

  /** f32 for F32 and F64, f16 for F16, else bf16: its rounding is finer than that of the block formats. */
  naturalDType(name: string): DType {
    const { type } = this.#find(name).tensor;
    return type.name === 'F32' || type.name === 'F64' ? 'f32' : type.name === 'F16' ? 'f16' : 'bf16';
  }

  async read(name: string, dtype: DType, target: Uint8Array, signal?: AbortSignal, first?: number): Promise<void> {
    const { tensor, interleavedHeads, restore } = this.#find(name);
    const { file } = tensor;
    const format = tensor.type.format!;
    const conversion = floatConversion(format, dtype);
    const all = elements(tensor.shape);
    const count = target.length / byteSize(dtype);
    const isPart = first !== undefined;
    const isWholeBlocks = [first ?? 0, count].every((x) => x % format.blockSize === 0);
    const inOrder = interleavedHeads === 0 && restore === undefined;
    const fits = isPart ? inOrder && isWholeBlocks && first + count <= all : count === all;
    if (conversion === undefined || !fits) {
      throw new GgufError(
        `${file.path}: tensor ${quote(name)}: it can be read as a float dtype into ${all * byteSize(dtype)} bytes, ` +
          `got ${dtype} and ${target.length} bytes${isPart ? ` from element ${first} on` : ''}.`,
      );
    }
    const blocks = count / format.blockSize;
    const position = tensor.position + ((first ?? 0) / format.blockSize) * format.blockBytes;
    if (tensor.type.name === dtype.toUpperCase()) await file.read(target, position, signal);
    else await readConverted({ file, position, bytes: blocks * format.blockBytes }, conversion, target, signal);
    if (interleavedHeads > 0) interleavedToHalfSplit(target, interleavedHeads, tensor.shape[0] / interleavedHeads);
    restore?.(target, dtype, tensor.shape);
  }

  /** Reads stored bytes of a tensor, from byte `from` of its data on. */
  readStored(name: string, from: number, target: Uint8Array, signal?: AbortSignal): Promise<void> {
    const { file, position } = this.#find(name).tensor;
    return file.read(target, position + from, signal);
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }

  #find(name: string): NamedTensor {
    const found = this.#named.get(name);
    if (found === undefined) throw new GgufError(`${this.path}: there is no tensor ${quote(name)}.`);
    return found;
  }
}

/**
 * Permutes the rows of every head in place from the interleaved to the half-split layout: row 2j + s becomes row
 * s·headDim/2 + j. llama.cpp's conversion does the opposite, because it rotates neighbouring pairs.
 */
export function interleavedToHalfSplit(rows: Uint8Array, heads: number, headDim: number): void {
  const headBytes = rows.length / heads;
  const rowBytes = headBytes / headDim;
  const half = headDim / 2;
  for (let head = 0; head < heads; head++) {
    const target = rows.subarray(head * headBytes, (head + 1) * headBytes);
    const source = target.slice();
    for (let row = 0; row < headDim; row++) {
      const to = (row % 2) * half + (row >> 1);
      target.set(source.subarray(row * rowBytes, (row + 1) * rowBytes), to * rowBytes);
    }
  }
}
