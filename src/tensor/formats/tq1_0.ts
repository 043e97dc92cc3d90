import { f16Table } from './f16.ts';
import type { Format } from './format.ts';

// Runs of bytes that hold 5, 5 and 4 numbers each: number p of byte i is element `first + p·bytes + i`.
const RUNS = [
  { at: 0, bytes: 32, numbers: 5, first: 0 },
  { at: 32, bytes: 16, numbers: 5, first: 160 },
  { at: 48, bytes: 4, numbers: 4, first: 240 },
] as const;

/**
 * GGML TQ1_0: 256 elements in 54 bytes. 52 bytes of numbers 0, 1, 2, f16 scale d; x = d·(n − 1).
 * A byte is a fraction in base 3, in units of 1/256: times 3, its digit before the point is the first number; times 3 what is
 * behind the point, the second.
 */
export const tq1_0: Format = {
  name: 'tq1_0',
  blockSize: 256,
  blockBytes: 54,
  decode(blocks, out) {
    const half = f16Table();
    for (let block = 0, o = 0; block < blocks.length; block += 54, o += 256) {
      const d = half[blocks[block + 52] | (blocks[block + 53] << 8)];
      for (const { at, bytes, numbers, first } of RUNS) {
        for (let i = 0; i < bytes; i++) {
          let fraction = blocks[block + at + i];
          for (let p = 0; p < numbers; p++) {
            const tripled = fraction * 3;
            out[o + first + p * bytes + i] = d * ((tripled >> 8) - 1);
            fraction = tripled & 255;
          }
        }
      }
    }
  },
};
