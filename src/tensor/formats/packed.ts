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
}

/** What is known of a packed matrix before its bytes are read. */
export interface PackedLayout {
  readonly format: PackedFormat;
  /** Rows of each of the matrices that are joined in it, one below the other. Blocks begin anew in each. */
  readonly sizes: readonly number[];
  readonly columns: number;
}

/** A packed matrix with its bytes. */
export interface PackedMatrix extends PackedLayout {
  /** `[rows, columns]` codes, row-major. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** `[rows of blocks, columns of blocks]` factors: f32, or bytes that are E8M0. */
  readonly scales: Float32Array | Uint8Array;
}

export const rowCount = ({ sizes }: Pick<PackedLayout, 'sizes'>): number => sizes.reduce((sum, size) => sum + size, 0);

/** Bytes of one row of codes. */
export const rowBytes = ({ format, columns }: PackedLayout): number =>
  format.values.length === 16 ? columns / 2 : columns;

/** Factors in one row of blocks. */
export const blocksAcross = ({ format, columns }: PackedLayout): number => Math.ceil(columns / format.blockColumns);

/** Rows of blocks. */
export const blocksDown = ({ format, sizes }: PackedLayout): number =>
  sizes.reduce((sum, size) => sum + Math.ceil(size / format.blockRows), 0);

/** The row of blocks that each row of the matrix is in. */
export function blockRowOf({ format, sizes }: PackedLayout): Int32Array {
  const blockRow = new Int32Array(rowCount({ sizes }));
  let row = 0;
  let first = 0;
  for (const size of sizes) {
    for (let i = 0; i < size; i++) blockRow[row++] = first + Math.floor(i / format.blockRows);
    first += Math.ceil(size / format.blockRows);
  }
  return blockRow;
}

/** All numbers, `[rows, columns]`: the definition of the packed formats. */
export function decodePacked(matrix: PackedMatrix): Float32Array {
  const { format, columns, codes, scales } = matrix;
  const blockRow = blockRowOf(matrix);
  const across = blocksAcross(matrix);
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
