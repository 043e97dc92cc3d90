import type { CpuKernels, PlacedCodes } from '../cpu/kernels.ts';
import type { Place } from '../cpu/shared-memory.ts';
import { VitrineError } from '../../errors.ts';
import { fromE8m0 } from '../formats/e8m0.ts';
import {
  blocksAcross,
  decodePacked,
  type PackedLayout,
  type PackedMatrix,
  rowBytes,
} from '../formats/packed-format.ts';
import { TF } from './addon.ts';
import { type Executor, Handle, typeAttr } from './handles.ts';

type Compute = 'f32' | 'bf16';

/** A packed matrix in the backend: it gives its numbers as TensorFlow tensors, some rows at a time. */
export interface PackedStore {
  /** The dtype of the numbers where `compute` is good enough. */
  dtype(compute: Compute): Compute;
  /** The product with one row of numbers, where it needs no decoding first. */
  multiplyRow(row: Float32Array): Float32Array | undefined;
  /** Calls `use` with `[some rows, columns]` from the top to the bottom, in `dtype(compute)`; valid only during the call. */
  decode(compute: Compute, use: (part: Handle) => void): void;
  download(): Float32Array;
  free(): void;
}

/** Numbers decoded at a time: 4 MB, which the product reads while they are in the processor's cache. */
const PANEL = 2 ** 20;

/**
 * On CPU: kernels of our own on the codes where they lie. A row is multiplied code by code; for more rows, panels of numbers
 * are decoded, always in f32, in which such products are at least as fast.
 */
export class HostPacked implements PackedStore {
  readonly #executor: Executor;
  readonly #kernels: CpuKernels;
  readonly #matrix: PackedMatrix;
  readonly #placed: PlacedCodes;

  /** @throws {VitrineError} where the codes are not in memory that the kernels reach. */
  constructor(executor: Executor, kernels: CpuKernels, matrix: PackedMatrix, place: Place | undefined) {
    if (place === undefined)
      throw new VitrineError(`uploadPacked: no shared memory for a matrix of ${matrix.codes.length} bytes.`);
    this.#executor = executor;
    this.#kernels = kernels;
    this.#matrix = matrix;
    this.#placed = { codes: place, factors: factorsByRow(matrix), format: matrix.format.name };
  }

  dtype(): 'f32' {
    return 'f32';
  }

  multiplyRow(row: Float32Array): Float32Array | undefined {
    return this.#kernels.linearPacked(this.#placed, row, this.#matrix.blockRow.length);
  }

  decode(_compute: Compute, use: (part: Handle) => void): void {
    const { columns, blockRow } = this.#matrix;
    const rows = blockRow.length;
    const step = Math.max(1, Math.floor(PANEL / columns));
    for (let from = 0; from < rows; from += step) {
      const count = Math.min(step, rows - from);
      const place = this.#kernels.decodePacked(this.#placed, from, count, columns);
      if (place === undefined) throw new VitrineError('matmulPacked: no memory for the numbers of a packed matrix.');
      const values = place.memory.floats(place.address, count * columns);
      const shape = [count, columns];
      const id = this.#executor.addon.createTensor(shape, TF.float, values);
      use(new Handle(shape, { id, place }));
      this.#executor.addon.deleteTensor(id);
    }
  }

  download(): Float32Array {
    return decodePacked(this.#matrix);
  }

  free(): void {
    this.#kernels.memories.release(this.#placed.codes);
  }
}

/** The factors of each row's blocks, row by row, in the form that the kernels read. */
function factorsByRow({ format, columns, blockRow, scales }: PackedMatrix): PlacedCodes['factors'] {
  const wide = format.name === 'fp8' && !(scales instanceof Float32Array);
  const stored = wide ? Float32Array.from(scales, fromE8m0) : scales;
  if (blockRow.every((block, row) => block === row)) return stored;
  const across = blocksAcross(format, columns);
  const length = blockRow.length * across;
  const byRow = stored instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length);
  blockRow.forEach((block, row) => {
    byRow.set(stored.subarray(block * across, (block + 1) * across), row * across);
  });
  return byRow;
}

/** On CUDA: codes and factors lie in the device's memory and are decoded there, by table lookups. */
export class DevicePacked implements PackedStore {
  readonly #executor: Executor;
  readonly #layout: PackedLayout;
  readonly #codes: number;
  readonly #scales: number;
  readonly #scalesAreBytes: boolean;
  readonly #release: () => void;

  /** @param release Gives back the memory of the codes, which TensorFlow may share. */
  constructor(executor: Executor, matrix: PackedMatrix, release: () => void) {
    const { addon } = executor;
    this.#release = release;
    const { codes, scales, format, columns, blockRow } = matrix;
    const across = blocksAcross(format, columns);
    this.#executor = executor;
    this.#layout = { format, columns, blockRow };
    this.#scalesAreBytes = scales instanceof Uint8Array;
    this.#codes = addon.createTensor([blockRow.length, rowBytes(format, columns)], TF.uint8, codes);
    const type = this.#scalesAreBytes ? TF.uint8 : TF.float;
    this.#scales = addon.createTensor([scales.length / across, across], type, scales);
  }

  dtype(compute: Compute): Compute {
    return compute;
  }

  multiplyRow(): undefined {
    return undefined;
  }

  decode(compute: Compute, use: (part: Handle) => void): void {
    const numbers = this.#numbers();
    const part =
      compute === 'f32' ? numbers : this.#run('Cast', [this.#executor.idOf(numbers)], [typeAttr('DstT', TF.bfloat16)]);
    if (part !== numbers) this.#executor.release(numbers);
    use(part);
    this.#executor.release(part);
  }

  download(): Float32Array {
    const numbers = this.#numbers();
    const values = this.#executor.addon.tensorDataSync(this.#executor.idOf(numbers)) as Float32Array;
    this.#executor.release(numbers);
    return values;
  }

  free(): void {
    this.#executor.addon.deleteTensor(this.#codes);
    this.#executor.addon.deleteTensor(this.#scales);
    this.#release();
  }

  /** `[rows, columns]` f32 */
  #numbers(): Handle {
    const { format, columns, blockRow } = this.#layout;
    const { values, blockColumns } = format;
    const perByte = columns / rowBytes(format, columns);
    const table = Float32Array.from({ length: 256 * perByte }, (_, i) => values[perByte === 1 ? i : (i >> 1 >> (4 * (i & 1))) & 15]); // prettier-ignore
    const owned: Handle[] = [];
    const id = (handle: Handle): number => {
      owned.push(handle);
      return this.#executor.idOf(handle);
    };
    const numbers = id(this.#lookUp(table, [256, perByte], this.#codes)); // [rows, bytes, perByte]
    let scales = this.#scales;
    if (this.#scalesAreBytes) {
      const powers = Float32Array.from({ length: 256 }, (_, byte) => fromE8m0(byte));
      scales = id(this.#lookUp(powers, [256], scales)); //                   [blocks down, blocks across]
    }
    if (!blockRow.every((block, row) => block === row))
      scales = id(this.#run('GatherV2', [scales, this.#executor.ints([...blockRow]), this.#executor.int(0)])); // [rows, blocks across]
    const across = Array.from({ length: columns }, (_, column) => Math.floor(column / blockColumns));
    const factors = id(this.#run('GatherV2', [scales, this.#executor.ints(across), this.#executor.int(1)])); // [rows, columns]
    const shape = [blockRow.length, columns];
    const wide = id(this.#run('Reshape', [numbers, this.#executor.ints(shape)])); // [rows, columns]
    const product = this.#run('Mul', [wide, factors]);
    for (const handle of owned) this.#executor.release(handle);
    return product;
  }

  #lookUp(table: Float32Array, shape: readonly number[], bytes: number): Handle {
    const { addon } = this.#executor;
    const entries = addon.createTensor(shape, TF.float, table);
    const indices = this.#run('Cast', [bytes], [typeAttr('DstT', TF.int32)]);
    const found = this.#run('GatherV2', [entries, this.#executor.idOf(indices), this.#executor.int(0)]);
    addon.deleteTensor(entries);
    this.#executor.release(indices);
    return found;
  }

  #run(op: string, inputs: readonly number[], attrs: Parameters<Executor['run']>[1] = []): Handle {
    return this.#executor.run(op, attrs, inputs);
  }
}
