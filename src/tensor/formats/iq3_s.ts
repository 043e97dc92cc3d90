import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { IQ3_S_GRID } from './iq-grids.ts';
import { SIGNS } from './iq-signs.ts';

/**
 * GGML IQ3_S: 256 elements in 110 bytes. f16 d, 64 bytes with the lower 8 bits of the codes of 64 rows of 4 numbers of the grid,
 * 8 bytes with the codes' upper bit, 32 bytes of signs, 4 bytes with a 4-bit scale s for each group of 32 elements;
 * x = ±d·(2s + 1)·number of the grid.
 */
export const iq3_s: Format = {
  name: 'iq3_s',
  blockSize: 256,
  blockBytes: 110,
  decode(blocks, out) {
    const [half, grid] = [f16Table(), IQ3_S_GRID()];
    for (let at = 0, o = 0; at < blocks.length; at += 110) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let run = 0; run < 64; run++, o += 4) {
        const upper = (blocks[at + 66 + (run >> 3)] >> (run & 7)) & 1;
        const scale = d * (2 * ((blocks[at + 106 + (run >> 4)] >> ((run >> 1) & 4)) & 15) + 1);
        const from = 4 * (blocks[at + 2 + run] | (upper << 8));
        const signs = 8 * blocks[at + 74 + (run >> 1)] + 4 * (run & 1);
        for (let i = 0; i < 4; i++) out[o + i] = scale * grid[from + i] * SIGNS[signs + i];
      }
    }
  },
};
