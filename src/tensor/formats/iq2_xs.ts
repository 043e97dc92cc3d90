import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { IQ2_XS_GRID } from './iq-grids.ts';
import { EVEN_SIGNS, SIGNS } from './iq-signs.ts';

/**
 * GGML IQ2_XS: 256 elements in 74 bytes. f16 d, 32 × 16 bits, each the code of a row of the grid (9 bits) and the signs of its
 * 8 elements (7 bits), 8 bytes with a 4-bit scale s for each group of 16 elements; x = ±d·(s + 0.5)/4·number of the grid.
 */
export const iq2_xs: Format = {
  name: 'iq2_xs',
  blockSize: 256,
  blockBytes: 74,
  decode(blocks, out) {
    const [half, grid] = [f16Table(), IQ2_XS_GRID()];
    for (let block = 0, o = 0; block < blocks.length; block += 74) {
      const d = half[blocks[block] | (blocks[block + 1] << 8)];
      for (let run = 0; run < 32; run++, o += 8) {
        const at = block + 2 + 2 * run;
        const code = blocks[at] | (blocks[at + 1] << 8);
        const scale = d * (((blocks[block + 66 + (run >> 2)] >> (2 * (run & 2))) & 15) + 0.5) * 0.25;
        const from = 8 * (code & 511);
        const signs = 8 * EVEN_SIGNS[code >> 9];
        for (let i = 0; i < 8; i++) out[o + i] = scale * grid[from + i] * SIGNS[signs + i];
      }
    }
  },
};
