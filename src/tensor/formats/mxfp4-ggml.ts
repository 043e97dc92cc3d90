import { fromE8m0 } from './e8m0.ts';
import type { Format } from './format.ts';
import { mxfp4 } from './mxfp4.ts';

/** The numbers that E2M1 codes stand for, as llama.cpp has them: without a negative zero. */
export const GGML_E2M1 = mxfp4.values.map((x) => x + 0);

/**
 * GGML MXFP4: 32 elements in 17 bytes. The E8M0 factor, then 16 bytes of E2M1 numbers: elements 0 to 15 in the low halves
 * and 16 to 31 in the high ones, another order than that of gpt-oss's own files.
 */
export const mxfp4Ggml: Format = {
  name: 'mxfp4',
  blockSize: 32,
  blockBytes: 17,
  decode(blocks, out) {
    for (let at = 0, o = 0; at < blocks.length; at += 17, o += 32) {
      const factor = fromE8m0(blocks[at]);
      for (let i = 0; i < 16; i++) {
        out[o + i] = GGML_E2M1[blocks[at + 1 + i] & 15] * factor;
        out[o + i + 16] = GGML_E2M1[blocks[at + 1 + i] >> 4] * factor;
      }
    }
  },
};
