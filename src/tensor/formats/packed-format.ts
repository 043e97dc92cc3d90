import type { Shape } from '../shape.ts';
import { fromE8m0 } from './e8m0.ts';

/**
 * How a matrix lies in codes of 4 or 8 bits with a factor for each block, so that it can stay so in memory:
 * `number = values[code] * factor of its block`.
 */
export interface PackedFormat {
  readonly name: 'mxfp4' | 'fp8';
  /** The number that each code stands for: 16 codes of 4 bits (of two in a byte, the low half comes first) or 256 of 8. */
  readonly values: Float32Array;
  /** Rows and columns of a block; the last blocks of a matrix may be cut off. */
  readonly blockRows: number;
  readonly blockColumns: number;
  /** The shapes that the two tensors of a matrix have in a checkpoint. */
  published(rows: number, columns: number): { readonly codes: Shape; readonly scales: Shape };
}

/** What is known of a packed matrix before its bytes are read. */
export interface PackedLayout {
  readonly format: PackedFormat;
  readonly columns: number;
  /** The row of blocks that each row is in: rising by one every `blockRows` rows, unless matrices are joined or permuted. */
  readonly blockRow: Int32Array;
}

/** A packed matrix with its bytes. */
export interface PackedMatrix extends PackedLayout {
  /** `[rows, columns]` codes, row-major. */
  readonly codes: Uint8Array;
  /** `[rows of blocks, columns of blocks]` factors: f32, or bytes that are E8M0. */
  readonly scales: Float32Array | Uint8Array;
}

/** Bytes of one row of codes. */
export const rowBytes = (format: PackedFormat, columns: number): number =>
  format.values.length === 16 ? columns / 2 : columns;

/** Factors in one row of blocks. */
export const blocksAcross = ({ blockColumns }: PackedFormat, columns: number): number =>
  Math.ceil(columns / blockColumns);

/** The row of blocks of each row of a matrix. */
export const blockRows = ({ blockRows: height }: PackedFormat, rows: number): Int32Array =>
  Int32Array.from({ length: rows }, (_, row) => Math.floor(row / height));

/** All numbers, `[rows, columns]`: the definition of the packed formats. */
export function decodePacked(matrix: PackedMatrix): Float32Array {
  const { format, columns, blockRow, codes, scales } = matrix;
  const across = blocksAcross(format, columns);
  const scale = scales instanceof Float32Array ? (i: number) => scales[i] : (i: number) => fromE8m0(scales[i]);
  const code =
    format.values.length === 16 ? (i: number) => (codes[i >> 1] >> (4 * (i & 1))) & 15 : (i: number) => codes[i];
  const out = new Float32Array(blockRow.length * columns);
  for (let row = 0, i = 0; row < blockRow.length; row++) {
    for (let column = 0; column < columns; column++, i++) {
      const block = blockRow[row] * across + Math.floor(column / format.blockColumns);
      out[i] = format.values[code(i)] * scale(block);
    }
  }
  return out;
}
