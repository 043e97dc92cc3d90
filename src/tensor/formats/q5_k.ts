import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { groupMin, groupScale } from './k-scales.ts';

/**
 * GGML Q5_K: 256 elements in 176 bytes. f16 d, f16 dmin, 12 bytes that hold a 6-bit scale s and a 6-bit minimum m for each
 * of 8 groups of 32 elements, 32 bytes with the fifth bit of each element, 128 bytes of the lower 4 bits; x = (d·s)·n − dmin·m.
 * Bit g of byte i of the fifth bits belongs to element i of group g. A run of 32 bytes of the lower bits holds group 2c in its low
 * halves and group 2c + 1 in its high halves.
 */
export const q5_k: Format = {
  name: 'q5_k',
  blockSize: 256,
  blockBytes: 176,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 176, o += 256) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const dmin = half[blocks[at + 2] | (blocks[at + 3] << 8)];
      for (let group = 0; group < 8; group++) {
        const scale = d * groupScale(blocks, at + 4, group);
        const min = dmin * groupMin(blocks, at + 4, group);
        const fifth = at + 16;
        const lower = at + 48 + 32 * (group >> 1);
        const shift = 4 * (group & 1);
        for (let i = 0; i < 32; i++) {
          const n = ((blocks[lower + i] >> shift) & 15) | (((blocks[fifth + i] >> group) & 1) << 4);
          out[o + 32 * group + i] = scale * n - min;
        }
      }
    }
  },
};
