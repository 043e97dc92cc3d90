import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/**
 * GGML Q4_0: 32 elements in 18 bytes. f16 scale d, 16 bytes of 4-bit numbers; x = d·(n − 8).
 * Byte j holds element j in its low half and element j + 16 in its high half.
 */
export const q4_0: Format = {
  name: 'q4_0',
  blockSize: 32,
  blockBytes: 18,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 18, o += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let j = 0; j < 16; j++) {
        const pair = blocks[at + 2 + j];
        out[o + j] = d * ((pair & 15) - 8);
        out[o + j + 16] = d * ((pair >> 4) - 8);
      }
    }
  },
};
