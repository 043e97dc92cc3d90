import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/**
 * GGML Q5_1: 32 elements in 24 bytes. f16 scale d, f16 minimum m, 32 bits with the fifth bit of each element, 16 bytes of the
 * lower 4 bits; x = d·n + m. Byte j holds element j in its low half and element j + 16 in its high half.
 */
export const q5_1: Format = {
  name: 'q5_1',
  blockSize: 32,
  blockBytes: 24,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 24, o += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const m = half[blocks[at + 2] | (blocks[at + 3] << 8)];
      const low = blocks[at + 4] | (blocks[at + 5] << 8);
      const high = blocks[at + 6] | (blocks[at + 7] << 8);
      for (let j = 0; j < 16; j++) {
        const pair = blocks[at + 8 + j];
        out[o + j] = d * ((pair & 15) | (((low >> j) & 1) << 4)) + m;
        out[o + j + 16] = d * ((pair >> 4) | (((high >> j) & 1) << 4)) + m;
      }
    }
  },
};
