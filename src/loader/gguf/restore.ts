import type { DType } from '../../tensor/dtype.ts';
import { GgufError } from './gguf-error.ts';

/** Undoes, in place, what llama.cpp's conversion did to a tensor; `shape` is the published one. */
export type Restore = (bytes: Uint8Array, dtype: DType, shape: readonly number[]) => void;

/** Gemma: the gains of norms have their 1 added already. They are stored and read as f32. */
export const lessOne: Restore = (bytes, dtype) => {
  if (dtype !== 'f32') throw new GgufError(`the gain of a norm: it can be read as f32, got ${dtype}.`);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  values.forEach((x, i) => (values[i] = Math.fround(x - 1)));
};

/** GPT-2: matrices were transposed from `[in, out]` to `[out, in]`. */
export const transposeBack: Restore = (bytes, _, [rows, columns]) => {
  const transposed = bytes.slice();
  const width = bytes.length / (rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const from = (column * rows + row) * width;
      bytes.set(transposed.subarray(from, from + width), (row * columns + column) * width);
    }
  }
};

/** GPT-NeoX: all rows of q, then of k, then of v were taken out of heads that hold q, k and v each. */
export const byHead =
  (heads: number): Restore =>
  (bytes, _, [rows]) => {
    if (rows % (3 * heads) !== 0)
      throw new GgufError(`attention: expected rows of q, k and v for each of ${heads} heads, got ${rows} rows.`);
    const sorted = bytes.slice();
    const run = bytes.length / (3 * heads); // Bytes of a head's q.
    for (let head = 0; head < heads; head++) {
      for (let part = 0; part < 3; part++) {
        const from = (part * heads + head) * run;
        bytes.set(sorted.subarray(from, from + run), (head * 3 + part) * run);
      }
    }
  };
