import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/** GGML Q1_0: 128 elements in 18 bytes. f16 scale d, 128 bits, the lowest of each byte first; x = d where the bit is 1, else −d. */
export const q1_0: Format = {
  name: 'q1_0',
  blockSize: 128,
  blockBytes: 18,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 18, o += 128) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let i = 0; i < 128; i++) out[o + i] = (blocks[at + 2 + (i >> 3)] >> (i & 7)) & 1 ? d : -d;
    }
  },
};
