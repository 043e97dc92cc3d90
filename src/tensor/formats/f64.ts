import type { Format } from './format.ts';

/** IEEE 754 binary64, little-endian; decoded to the nearest f32. */
export const f64: Format = {
  name: 'f64',
  blockSize: 1,
  blockBytes: 8,
  decode(blocks, out) {
    const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
    for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true);
  },
};
