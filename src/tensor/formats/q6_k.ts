import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/**
 * GGML Q6_K: 256 elements in 210 bytes. 128 bytes with the low 4 bits, 64 bytes with the upper 2 bits, 16 × i8 scale s (one
 * per 16 elements), f16 d; x = (d·s)·(n − 32).
 * In each half of 128 elements, byte i of the low bits serves the elements i and i + 64 (i < 64), byte i of the upper bits
 * the elements i, i + 32, i + 64, i + 96 (i < 32).
 */
export const q6_k: Format = {
  name: 'q6_k',
  blockSize: 256,
  blockBytes: 210,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 210, o += 256) {
      const d = half[blocks[at + 208] | (blocks[at + 209] << 8)];
      for (let group = 0; group < 16; group++) {
        const scale = d * ((blocks[at + 192 + group] << 24) >> 24);
        const inHalf = 16 * (group & 7);
        const low = at + 64 * (group >> 3) + (inHalf & 63);
        const high = at + 128 + 32 * (group >> 3) + (inHalf & 31);
        const lowShift = inHalf < 64 ? 0 : 4;
        const highShift = 2 * (inHalf >> 5);
        for (let i = 0; i < 16; i++) {
          const n = ((blocks[low + i] >> lowShift) & 15) | (((blocks[high + i] >> highShift) & 3) << 4);
          out[o + 16 * group + i] = scale * (n - 32);
        }
      }
    }
  },
};
