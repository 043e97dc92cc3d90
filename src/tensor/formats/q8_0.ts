import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/** GGML Q8_0: 32 elements in 34 bytes. f16 scale d, 32 × i8 q; x = d·q. */
export const q8_0: Format = {
  name: 'q8_0',
  blockSize: 32,
  blockBytes: 34,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 34, o += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let i = 0; i < 32; i++) out[o + i] = d * ((blocks[at + 2 + i] << 24) >> 24);
    }
  },
};
