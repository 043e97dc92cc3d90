import { f8E4m3 } from './fp8.ts';
import type { PackedFormat } from './packed-format.ts';

const values = new Float32Array(256);
f8E4m3.decode(
  Uint8Array.from(values, (_, code) => code),
  values,
);

/**
 * E4M3 numbers with a factor for each 128 x 128 block, as DeepSeek-V3 is published (arXiv 2412.19437, section 3.3). The
 * files call the factor `weight_scale_inv`, and yet it multiplies.
 */
export const fp8Blocks: PackedFormat = {
  name: 'fp8',
  values,
  blockRows: 128,
  blockColumns: 128,
  published: (rows, columns) => ({
    codes: [rows, columns],
    scales: [Math.ceil(rows / 128), Math.ceil(columns / 128)],
  }),
};
