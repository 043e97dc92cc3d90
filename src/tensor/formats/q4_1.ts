import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/**
 * GGML Q4_1: 32 elements in 20 bytes. f16 scale d, f16 minimum m, 16 bytes of 4-bit numbers; x = d·n + m.
 * Byte j holds element j in its low half and element j + 16 in its high half.
 * d·n needs 15 bits, so the only rounding is that of the sum to f32.
 */
export const q4_1: Format = {
  name: 'q4_1',
  blockSize: 32,
  blockBytes: 20,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 20, o += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const m = half[blocks[at + 2] | (blocks[at + 3] << 8)];
      for (let j = 0; j < 16; j++) {
        const pair = blocks[at + 4 + j];
        out[o + j] = d * (pair & 15) + m;
        out[o + j + 16] = d * (pair >> 4) + m;
      }
    }
  },
};
