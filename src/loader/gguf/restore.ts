import type { DType } from '../../tensor/dtype.ts';
import { GgufError } from './gguf-error.ts';

/** Undoes, in place, what llama.cpp's conversion did to a tensor; `shape` is the published one. */
export type Restore = (bytes: Uint8Array, dtype: DType, shape: readonly number[]) => void;

/** Gemma's norms: the published weight is the stored one less 1. They are stored and read as f32. */
export const subtractOne: Restore = (bytes, dtype) => {
  if (dtype !== 'f32') throw new GgufError(`the weight of a norm: it can be read as f32, got ${dtype}.`);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  values.forEach((x, i) => (values[i] = Math.fround(x - 1)));
};

/** GPT-2's matrices: the published layout is `[in, out]`, the stored one `[out, in]`. */
export const transpose: Restore = (bytes, _, [rows, columns]) => {
  const transposed = bytes.slice();
  const width = bytes.length / (rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (column * rows + row) * width;
      bytes.set(transposed.subarray(from, from + width), (row * columns + column) * width);
    }
  }
};

/** GPT-NeoX's q, k and v: the published order of rows is head by head q, k, v; the stored one is all of q, then k, then v. */
export const interleaveByHead =
  (heads: number): Restore =>
  (bytes, _, [rows]) => {
    if (rows % (3 * heads) !== 0)
      throw new GgufError(`attention: expected equal rows of q, k and v for each of ${heads} heads, got ${rows} rows.`);
    const sorted = bytes.slice();
    const headBytes = bytes.length / (3 * heads); // of q in one head
    for (let head = 0; head < heads; head++) {
      for (let part = 0; part < 3; part++) {
        const from = (part * heads + head) * headBytes;
        bytes.set(sorted.subarray(from, from + headBytes), (head * 3 + part) * headBytes);
      }
    }
  };
