import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { IQ3_XXS_GRID } from './iq-grids.ts';
import { EVEN_SIGNS, SIGNS } from './iq-signs.ts';

/**
 * GGML IQ3_XXS: 256 elements in 98 bytes. f16 d, 64 bytes, the codes of rows of 4 numbers of the grid, then for each of 8 groups of
 * 32 elements 32 bits: 4 × 7 bits of signs, and a scale s in the upper 4; x = ±d·(s + 0.5)/2·number of the grid.
 */
export const iq3_xxs: Format = {
  name: 'iq3_xxs',
  blockSize: 256,
  blockBytes: 98,
  decode(blocks, out) {
    const [half, grid] = [f16Table(), IQ3_XXS_GRID()];
    for (let block = 0, o = 0; block < blocks.length; block += 98) {
      const d = half[blocks[block] | (blocks[block + 1] << 8)];
      for (let group = 0; group < 8; group++) {
        const at = block + 66 + 4 * group;
        const word = blocks[at] | (blocks[at + 1] << 8) | (blocks[at + 2] << 16) | (blocks[at + 3] << 24);
        const scale = d * ((word >>> 28) + 0.5) * 0.5;
        for (let run = 0; run < 8; run++, o += 4) {
          const from = 4 * blocks[block + 2 + 8 * group + run];
          const signs = 8 * EVEN_SIGNS[(word >>> (7 * (run >> 1))) & 127] + 4 * (run & 1);
          for (let i = 0; i < 4; i++) out[o + i] = scale * grid[from + i] * SIGNS[signs + i];
        }
      }
    }
  },
};
