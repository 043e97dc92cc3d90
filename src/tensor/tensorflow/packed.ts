import { fromE8m0 } from '../formats/e8m0.ts';
import { blocksAcross, decodePacked, type PackedLayout, type PackedMatrix, rowBytes } from '../formats/packed.ts';
import type { Place, SharedMemories } from '../cpu/memory.ts';
import { TF } from './addon.ts';
import { type Executor, Handle, typeAttr } from './handles.ts';

type Compute = 'f32' | 'bf16';

/** A packed matrix in the backend: it gives its numbers as TensorFlow tensors, some rows at a time. */
export interface PackedStore {
  /** Where its codes lie, if in memory of ours. */
  readonly place: Place | undefined;
  /** The dtype of the numbers where `compute` is good enough. */
  dtype(compute: Compute): Compute;
  /** Calls `use` with `[some rows, columns]` from the top to the bottom, in `dtype(compute)`; valid only during the call. */
  decode(compute: Compute, use: (part: Handle) => void): void;
  download(): Float32Array;
  free(): void;
}

/** Numbers decoded at a time: 4 MB, which the product reads while they are in the processor's cache. */
const PANEL = 2 ** 20;

/** Codes in memory that `allocate` gave. */
export interface Placed extends PackedMatrix {
  readonly place: Place | undefined;
}

/**
 * On CPU: loops in JavaScript over tables, several times as fast as TensorFlow's gather. Always f32: the decoding takes
 * most of the time, and a product with one row is then faster than one in bf16.
 */
export class HostPacked implements PackedStore {
  readonly place: Place | undefined;
  readonly #executor: Executor;
  readonly #memories: SharedMemories;
  readonly #matrix: PackedMatrix;

  constructor(executor: Executor, memories: SharedMemories, matrix: Placed) {
    this.#executor = executor;
    this.#memories = memories;
    this.#matrix = matrix;
    this.place = matrix.place;
  }

  dtype(): 'f32' {
    return 'f32';
  }

  decode(_compute: Compute, use: (part: Handle) => void): void {
    const { columns, format, blockRow } = this.#matrix;
    const rows = blockRow.length;
    const step = Math.max(1, Math.floor(PANEL / columns / format.blockRows)) * format.blockRows;
    const { numbers, place } = panelMemory(this.#memories, Math.min(step, rows) * columns);
    for (let from = 0; from < rows; from += step) {
      const to = Math.min(from + step, rows);
      if (format.name === 'mxfp4') decodeMxfp4(this.#matrix, from, to, numbers);
      else decodeFp8(this.#matrix, from, to, numbers);
      const shape = [to - from, columns];
      const id = this.#executor.addon.createTensor(shape, TF.float, numbers.subarray(0, (to - from) * columns));
      use(new Handle(shape, { id, place }));
      this.#executor.addon.deleteTensor(id);
    }
  }

  download(): Float32Array {
    return decodePacked(this.#matrix);
  }

  free(): void {
    // The garbage collector's.
  }
}

interface Panel {
  readonly numbers: Float32Array;
  readonly place: Place | undefined;
}

/** Shared with TensorFlow and our own kernels, and used again by every product. */
let panel: Panel | undefined;

function panelMemory(memories: SharedMemories, length: number): Panel {
  if (panel !== undefined && panel.numbers.length >= length) return panel;
  if (panel?.place !== undefined) memories.release(panel.place);
  const place = memories.allocate(length * 4);
  panel = { numbers: place?.memory.floats(place.address, length) ?? new Float32Array(length), place };
  return panel;
}

/** By factor and byte: the two numbers of the byte, as the f64 that has their bits, so that one store writes both. */
let pairsByFactor: Float64Array | undefined;

function makePairs(values: Float32Array): Float64Array {
  const pairs = new Float32Array(2 * 65536);
  for (let i = 0; i < 65536; i++) {
    const factor = fromE8m0(i >> 8);
    pairs[2 * i] = values[i & 15] * factor;
    pairs[2 * i + 1] = values[(i >> 4) & 15] * factor;
  }
  return new Float64Array(pairs.buffer);
}

function decodeMxfp4(matrix: PackedMatrix, from: number, to: number, numbers: Float32Array): void {
  const { format, columns, blockRow, codes, scales } = matrix;
  const groups = blocksAcross(format, columns);
  const pairs = (pairsByFactor ??= makePairs(format.values));
  const words = new Uint32Array(codes.buffer, codes.byteOffset, codes.length >> 2);
  const out = new Float64Array(numbers.buffer, numbers.byteOffset, numbers.length >> 1);
  for (let row = from, at = (from * columns) / 8, o = 0; row < to; row++) {
    for (let group = blockRow[row] * groups, last = group + groups; group < last; group++) {
      const table = scales[group] << 8;
      for (const end = at + 4; at < end; at++, o += 4) {
        const word = words[at];
        out[o] = pairs[table | (word & 255)];
        out[o + 1] = pairs[table | ((word >>> 8) & 255)];
        out[o + 2] = pairs[table | ((word >>> 16) & 255)];
        out[o + 3] = pairs[table | (word >>> 24)];
      }
    }
  }
}

function decodeFp8(matrix: PackedMatrix, from: number, to: number, out: Float32Array): void {
  const { format, codes, scales, columns, blockRow } = matrix;
  const across = blocksAcross(format, columns);
  const factor = scales instanceof Float32Array ? (i: number) => scales[i] : (i: number) => fromE8m0(scales[i]);
  const table = new Float32Array(256);
  for (let top = from, bottom = from; top < to; top = bottom) {
    while (bottom < to && blockRow[bottom] === blockRow[top]) bottom++;
    for (let block = 0; block < across; block++) {
      const scale = factor(blockRow[top] * across + block);
      for (let code = 0; code < 256; code++) table[code] = format.values[code] * scale;
      const left = block * format.blockColumns;
      const right = Math.min(left + format.blockColumns, columns);
      for (let row = top; row < bottom; row++) {
        const target = (row - from) * columns;
        for (let column = left; column < right; column++) out[target + column] = table[codes[row * columns + column]];
      }
    }
  }
}

/** On CUDA: codes and factors lie in the device's memory and are decoded there, by table lookups. */
export class DevicePacked implements PackedStore {
  readonly place: Place | undefined;
  readonly #executor: Executor;
  readonly #layout: PackedLayout;
  readonly #codes: number;
  readonly #scales: number;
  readonly #scalesAreBytes: boolean;

  constructor(executor: Executor, matrix: Placed) {
    const { addon } = executor;
    this.place = matrix.place;
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
