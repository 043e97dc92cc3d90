import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { IQ1_GRID } from './iq-grids.ts';

/**
 * GGML IQ1_S: 256 elements in 50 bytes. f16 d, 32 bytes with the lower 8 bits of the codes of 32 rows of the grid, then for each of 8
 * groups of 32 elements 16 bits: 4 × 3 upper bits of the codes, a scale s of 3 bits, and the sign of a shift by 1/8;
 * x = d·(2s + 1)·(number of the grid ± 1/8).
 */
export const iq1_s: Format = {
  name: 'iq1_s',
  blockSize: 256,
  blockBytes: 50,
  decode(blocks, out) {
    const [half, grid] = [f16Table(), IQ1_GRID()];
    for (let at = 0, o = 0; at < blocks.length; at += 50) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let group = 0; group < 8; group++) {
        const word = blocks[at + 34 + 2 * group] | (blocks[at + 35 + 2 * group] << 8);
        const scale = d * (2 * ((word >> 12) & 7) + 1);
        const shift = word & 0x8000 ? -0.125 : 0.125;
        for (let run = 0; run < 4; run++, o += 8) {
          const from = 8 * (blocks[at + 2 + 4 * group + run] | (((word >> (3 * run)) & 7) << 8));
          for (let i = 0; i < 8; i++) out[o + i] = scale * (grid[from + i] + shift);
        }
      }
    }
  },
};
