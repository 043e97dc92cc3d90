import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/**
 * GGML Q2_K: 256 elements in 84 bytes. 16 bytes with a 4-bit scale s (low) and a 4-bit minimum m (high) for each group of 16
 * elements, 64 bytes of 2-bit numbers, f16 d, f16 dmin; x = (d·s)·n − dmin·m.
 * In each half of 128 elements, byte i of 32 serves the elements i, i + 32, i + 64, i + 96.
 */
export const q2_k: Format = {
  name: 'q2_k',
  blockSize: 256,
  blockBytes: 84,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 84, o += 256) {
      const d = half[blocks[at + 80] | (blocks[at + 81] << 8)];
      const dmin = half[blocks[at + 82] | (blocks[at + 83] << 8)];
      for (let group = 0; group < 16; group++) {
        const scale = d * (blocks[at + group] & 15);
        const min = dmin * (blocks[at + group] >> 4);
        const numbers = at + 16 + 32 * (group >> 3) + 16 * (group & 1);
        const shift = group & 6;
        for (let i = 0; i < 16; i++) out[o + 16 * group + i] = scale * ((blocks[numbers + i] >> shift) & 3) - min;
      }
    }
  },
};
