import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { IQ2_XXS_GRID } from './iq-grids.ts';
import { EVEN_SIGNS, SIGNS } from './iq-signs.ts';

/**
 * GGML IQ2_XXS: 256 elements in 66 bytes. f16 d, then for each of 8 groups of 32 elements 4 bytes, the codes of 4 rows of the grid,
 * and 32 bits: 4 × 7 bits of signs, and a scale s in the upper 4; x = ±d·(s + 0.5)/4·number of the grid.
 */
export const iq2_xxs: Format = {
  name: 'iq2_xxs',
  blockSize: 256,
  blockBytes: 66,
  decode(blocks, out) {
    const [half, grid] = [f16Table(), IQ2_XXS_GRID()];
    for (let block = 0, o = 0; block < blocks.length; block += 66) {
      const d = half[blocks[block] | (blocks[block + 1] << 8)];
      for (let at = block + 2; at < block + 66; at += 8) {
        const word = blocks[at + 4] | (blocks[at + 5] << 8) | (blocks[at + 6] << 16) | (blocks[at + 7] << 24);
        const scale = d * ((word >>> 28) + 0.5) * 0.25;
        for (let run = 0; run < 4; run++, o += 8) {
          const from = 8 * blocks[at + run];
          const signs = 8 * EVEN_SIGNS[(word >>> (7 * run)) & 127];
          for (let i = 0; i < 8; i++) out[o + i] = scale * grid[from + i] * SIGNS[signs + i];
        }
      }
    }
  },
};
