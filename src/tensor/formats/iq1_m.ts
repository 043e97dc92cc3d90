import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { IQ1_GRID } from './iq-grids.ts';

/**
 * GGML IQ1_M: 256 elements in 56 bytes. 32 bytes with the lower 8 bits of the codes of 32 rows of the grid, 16 bytes with 4 bits for
 * each row: the upper 3 bits of its code, and the sign of a shift by 1/8; 4 × 16 bits: 4 × 3 bits of scales s, one per group of 16
 * elements, and in the upper 4 a quarter of the f16 d; x = d·(2s + 1)·(number of the grid ± 1/8).
 */
export const iq1_m: Format = {
  name: 'iq1_m',
  blockSize: 256,
  blockBytes: 56,
  decode(blocks, out) {
    const [half, grid] = [f16Table(), IQ1_GRID()];
    for (let at = 0, o = 0; at < blocks.length; at += 56) {
      const [a, b, c, e] = [49, 51, 53, 55].map((i) => blocks[at + i] >> 4);
      const d = half[a | (b << 4) | (c << 8) | (e << 12)];
      for (let run = 0; run < 32; run++, o += 8) {
        const group = run >> 1;
        const word = at + 48 + 2 * (group >> 2);
        const scale = d * (2 * (((blocks[word] | (blocks[word + 1] << 8)) >> (3 * (group & 3))) & 7) + 1);
        const upper = blocks[at + 32 + group] >> (4 * (run & 1));
        const shift = upper & 8 ? -0.125 : 0.125;
        const from = 8 * (blocks[at + run] | ((upper & 7) << 8));
        for (let i = 0; i < 8; i++) out[o + i] = scale * (grid[from + i] + shift);
      }
    }
  },
};
