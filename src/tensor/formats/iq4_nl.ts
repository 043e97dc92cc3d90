import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

/** The numbers that 4 bits stand for in the IQ4 formats: dense near 0, as weights are. */
export const IQ4_VALUES = Float32Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/**
 * GGML IQ4_NL: 32 elements in 18 bytes. f16 scale d, 16 bytes of 4-bit codes; x = d·value of the code.
 * Byte j holds element j in its low half and element j + 16 in its high half.
 */
export const iq4_nl: Format = {
  name: 'iq4_nl',
  blockSize: 32,
  blockBytes: 18,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 18, o += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let j = 0; j < 16; j++) {
        const pair = blocks[at + 2 + j];
        out[o + j] = d * IQ4_VALUES[pair & 15];
        out[o + j + 16] = d * IQ4_VALUES[pair >> 4];
      }
    }
  },
};
