import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { IQ2_S_GRID } from './iq-grids.ts';
import { SIGNS } from './iq-signs.ts';

/**
 * GGML IQ2_S: 256 elements in 82 bytes. f16 d, 32 bytes with the lower 8 bits of the codes of 32 rows of the grid, 32 bytes of
 * signs, 8 bytes with the codes' upper 2 bits, 8 bytes with a 4-bit scale s for each group of 16 elements;
 * x = ±d·(s + 0.5)/4·number of the grid.
 */
export const iq2_s: Format = {
  name: 'iq2_s',
  blockSize: 256,
  blockBytes: 82,
  decode(blocks, out) {
    const [half, grid] = [f16Table(), IQ2_S_GRID()];
    for (let at = 0, o = 0; at < blocks.length; at += 82) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let run = 0; run < 32; run++, o += 8) {
        const upper = (blocks[at + 66 + (run >> 2)] >> (2 * (run & 3))) & 3;
        const scale = d * (((blocks[at + 74 + (run >> 2)] >> (2 * (run & 2))) & 15) + 0.5) * 0.25;
        const from = 8 * (blocks[at + 2 + run] | (upper << 8));
        const signs = 8 * blocks[at + 34 + run];
        for (let i = 0; i < 8; i++) out[o + i] = scale * grid[from + i] * SIGNS[signs + i];
      }
    }
  },
};
