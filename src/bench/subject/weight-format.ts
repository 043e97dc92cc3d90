import { fromBf16, toBf16 } from '../../tensor/formats/bf16.ts';
import { fp8Blocks } from '../../tensor/formats/fp8-blocks.ts';
import { mxfp4 } from '../../tensor/formats/mxfp4.ts';
import {
  blockRows,
  blocksAcross,
  type PackedFormat,
  type PackedMatrix,
  rowBytes,
} from '../../tensor/formats/packed-format.ts';

/** How matrices are stored: as numbers (f32, bf16), or in codes with a factor for each block (MXFP4, 8-bit floats). */
export type WeightFormat = 'f32' | 'bf16' | PackedFormat['name'];

const PACKED: Readonly<Record<PackedFormat['name'], PackedFormat>> = { mxfp4, fp8: fp8Blocks };

/** All weight formats. */
export const WEIGHT_FORMATS: readonly WeightFormat[] = ['f32', 'bf16', 'mxfp4', 'fp8'];

/** The layout of a format's codes; undefined for formats of plain numbers. */
export const packedFormat = (name: WeightFormat): PackedFormat | undefined =>
  name === 'f32' || name === 'bf16' ? undefined : PACKED[name];

/** Bytes of a number, with its share of its block's factor. */
export function bytesPerNumber(name: WeightFormat): number {
  const format = packedFormat(name);
  if (format === undefined) return name === 'bf16' ? 2 : 4;
  const scaleBytes = format.name === 'fp8' ? 4 : 1;
  return rowBytes(format, 2) / 2 + scaleBytes / (format.blockRows * format.blockColumns);
}

/**
 * Encodes `values`, `[rows, columns]` row-major, each number by its nearest code. The factors are powers of two for MXFP4, and have
 * four significant bits for 8-bit floats, so that bf16 holds every decoded number: all formats can then store the same matrix.
 */
export function pack(format: PackedFormat, values: Float32Array, columns: number): PackedMatrix {
  const rows = values.length / columns;
  const across = blocksAcross(format, columns);
  const blockRow = blockRows(format, rows);
  const factors = new Float32Array(across * Math.ceil(rows / format.blockRows));
  const blockOf = (row: number, column: number): number =>
    blockRow[row] * across + Math.floor(column / format.blockColumns);
  for (let row = 0, i = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, i++) {
      const block = blockOf(row, column);
      factors[block] = Math.max(factors[block], Math.abs(values[i]));
    }
  const largest = format.values.reduce((most, value) => (value > most ? value : most), 0);
  const steps = format.name === 'fp8' ? 8 : 1;
  factors.forEach((magnitude, block) => {
    factors[block] = roundUp(magnitude / largest, steps);
  });
  const nearest = nearestCodes(format);
  const codes = new Uint8Array(rows * rowBytes(format, columns));
  const perByte = format.values.length === 16 ? 2 : 1;
  for (let row = 0, i = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, i++) {
      const code = nearest[toBf16(values[i] / factors[blockOf(row, column)])];
      codes[Math.floor(i / perByte)] |= perByte === 2 && i % 2 === 1 ? code << 4 : code;
    }
  const scales = format.name === 'fp8' ? factors : Uint8Array.from(factors, (factor) => Math.log2(factor) + 127);
  return { format, columns, blockRow, codes, scales };
}

/** The least number from `x` on that has the form `n / steps * 2^e` with n from `steps` to `2 steps`; 1 for x = 0. */
function roundUp(x: number, steps: number): number {
  if (x === 0) return 1;
  const power = 2 ** Math.floor(Math.log2(x));
  return (power * Math.ceil((x / power) * steps)) / steps;
}

const tables = new Map<PackedFormat, Uint8Array>();

/** A table from the bits of a bf16 number to the nearest code. */
function nearestCodes(format: PackedFormat): Uint8Array {
  const known = tables.get(format);
  if (known !== undefined) return known;
  const order = Array.from(format.values, (value, code) => ({ value, code }))
    .filter(({ value }) => !Number.isNaN(value))
    .sort((a, b) => a.value - b.value);
  const table = Uint8Array.from({ length: 2 ** 16 }, (_, bits) => {
    const x = fromBf16(bits);
    let [low, high] = [0, order.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (order[middle].value <= x) low = middle;
      else high = middle;
    }
    return (x - order[low].value < order[high].value - x ? order[low] : order[high]).code;
  });
  tables.set(format, table);
  return table;
}
