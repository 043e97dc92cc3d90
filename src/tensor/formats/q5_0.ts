import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/**
 * GGML Q5_0: 32 elements in 22 bytes. f16 scale d, 32 bits with the fifth bit of each element, 16 bytes of the lower 4 bits;
 * x = d·(n − 16). Byte j holds element j in its low half and element j + 16 in its high half.
 */
export const q5_0: Format = {
  name: 'q5_0',
  blockSize: 32,
  blockBytes: 22,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 22, o += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const low = blocks[at + 2] | (blocks[at + 3] << 8);
      const high = blocks[at + 4] | (blocks[at + 5] << 8);
      for (let j = 0; j < 16; j++) {
        const pair = blocks[at + 6 + j];
        out[o + j] = d * (((pair & 15) | (((low >> j) & 1) << 4)) - 16);
        out[o + j + 16] = d * (((pair >> 4) | (((high >> j) & 1) << 4)) - 16);
      }
    }
  },
};
