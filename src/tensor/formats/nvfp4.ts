import type { Format } from './format.ts';
import { GGML_E2M1 } from './mxfp4-ggml.ts';

/** The factor that a byte stands for: E4M3 without its sign, where 0x7f, a NaN, is 0. */
const FACTORS = Float32Array.from({ length: 256 }, (_, code) => {
  const [exponent, mantissa] = [(code >> 3) & 15, code & 7];
  if (code === 0x7f) return 0;
  return exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7);
});

/**
 * GGML NVFP4: 64 elements in 36 bytes. An E4M3 factor for each group of 16 elements, then 8 bytes of E2M1 numbers per group:
 * elements 0 to 7 in the low halves and 8 to 15 in the high ones.
 */
export const nvfp4: Format = {
  name: 'nvfp4',
  blockSize: 64,
  blockBytes: 36,
  decode(blocks, out) {
    for (let at = 0, o = 0; at < blocks.length; at += 36, o += 64) {
      for (let group = 0; group < 4; group++) {
        const factor = FACTORS[blocks[at + group]];
        const numbers = at + 4 + 8 * group;
        for (let i = 0; i < 8; i++) {
          out[o + 16 * group + i] = GGML_E2M1[blocks[numbers + i] & 15] * factor;
          out[o + 16 * group + i + 8] = GGML_E2M1[blocks[numbers + i] >> 4] * factor;
        }
      }
    }
  },
};
