import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/**
 * GGML Q3_K: 256 elements in 110 bytes. 32 bytes with the upper bit of each element, 64 bytes with the lower 2 bits, 12 bytes
 * with a 6-bit scale s for each group of 16 elements, f16 d; x = (d·(s − 32))·(n − 4).
 * Bit b of byte i of the upper bits belongs to element 32b + i. In each half of 128 elements, byte i of the lower bits serves the
 * elements i, i + 32, i + 64, i + 96.
 */
export const q3_k: Format = {
  name: 'q3_k',
  blockSize: 256,
  blockBytes: 110,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 110, o += 256) {
      const d = half[blocks[at + 108] | (blocks[at + 109] << 8)];
      for (let group = 0; group < 16; group++) {
        const scale = d * (groupScale(blocks, at + 96, group) - 32);
        const upper = at + 16 * (group & 1);
        const bit = group >> 1;
        const lower = at + 32 + 32 * (group >> 3) + 16 * (group & 1);
        const shift = group & 6;
        for (let i = 0; i < 16; i++) {
          const n = ((blocks[lower + i] >> shift) & 3) | (((blocks[upper + i] >> bit) & 1) << 2);
          out[o + 16 * group + i] = scale * (n - 4);
        }
      }
    }
  },
};

// The low 4 bits lie in bytes 0 to 7 (groups 0 to 7 in the low halves, 8 to 15 in the high ones), the upper 2 bits in bytes 8
// to 11, four groups to a byte.
const groupScale = (packed: Uint8Array, at: number, group: number): number =>
  ((packed[at + (group & 7)] >> (4 * (group >> 3))) & 15) |
  (((packed[at + 8 + (group & 3)] >> (2 * (group >> 2))) & 3) << 4);
