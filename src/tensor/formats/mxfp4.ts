import type { PackedFormat } from './packed-format.ts';

const MAGNITUDES = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

/**
 * MXFP4 of the OCP Microscaling formats (version 1.0), in the layout of gpt-oss: 32 consecutive columns share an E8M0
 * factor, and each is an E2M1 number of 4 bits, the even column in the low half of a byte. 4.25 bits per number.
 */
export const mxfp4: PackedFormat = {
  name: 'mxfp4',
  values: Float32Array.from([...MAGNITUDES, ...MAGNITUDES.map((x) => -x)]),
  blockRows: 1,
  blockColumns: 32,
  published: (rows, columns) => ({ codes: [rows, columns / 32, 16], scales: [rows, columns / 32] }),
};
