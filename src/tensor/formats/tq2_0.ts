import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/**
 * GGML TQ2_0: 256 elements in 66 bytes. 64 bytes of 2-bit numbers, f16 scale d; x = d·(n − 1).
 * In each half of 128 elements, byte i of 32 serves the elements i, i + 32, i + 64, i + 96.
 */
export const tq2_0: Format = {
  name: 'tq2_0',
  blockSize: 256,
  blockBytes: 66,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 66, o += 256) {
      const d = half[blocks[at + 64] | (blocks[at + 65] << 8)];
      for (let group = 0; group < 8; group++) {
        const numbers = at + 32 * (group >> 2);
        const shift = 2 * (group & 3);
        for (let i = 0; i < 32; i++) out[o + 32 * group + i] = d * (((blocks[numbers + i] >> shift) & 3) - 1);
      }
    }
  },
};
