import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { groupMin, groupScale } from './k-scales.ts';

/**
 * GGML Q4_K: 256 elements in 144 bytes. f16 d, f16 dmin, 12 bytes that hold a 6-bit scale s and a 6-bit minimum m for each
 * of 8 groups of 32 elements, 128 bytes of 4-bit numbers; x = (d·s)·n − dmin·m.
 * A run of 32 bytes holds group 2c in its low halves and group 2c + 1 in its high halves.
 * Both products need fewer than 24 bits, so the only rounding is that of the difference to f32.
 */
export const q4_k: Format = {
  name: 'q4_k',
  blockSize: 256,
  blockBytes: 144,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 144, o += 256) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const dmin = half[blocks[at + 2] | (blocks[at + 3] << 8)];
      for (let group = 0; group < 8; group++) {
        const scale = d * groupScale(blocks, at + 4, group);
        const min = dmin * groupMin(blocks, at + 4, group);
        const numbers = at + 16 + 32 * (group >> 1);
        const shift = 4 * (group & 1);
        for (let i = 0; i < 32; i++) out[o + 32 * group + i] = scale * ((blocks[numbers + i] >> shift) & 15) - min;
      }
    }
  },
};
