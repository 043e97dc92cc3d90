import type { WritableFormat } from './format.ts';

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

interface Layout {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** The value of a code with all exponent bits set. */
  readonly special: (mantissa: number) => number;
  /** What a magnitude beyond the largest finite code becomes. */
  readonly overflow: number;
}

function format8(name: string, { exponentBits, mantissaBits, special, overflow }: Layout): WritableFormat {
  const bias = 2 ** (exponentBits - 1) - 1;
  const topExponent = 2 ** exponentBits - 1;
  const units = 2 ** mantissaBits;

  const table = Float32Array.from({ length: 256 }, (_, code) => {
    const exponent = (code >>> mantissaBits) & topExponent;
    const mantissa = code % units;
    const sign = code & 0x80 ? -1 : 1;
    if (exponent === topExponent) return sign * special(mantissa);
    if (exponent === 0) return (sign * mantissa * 2 ** (1 - bias)) / units;
    return sign * (1 + mantissa / units) * 2 ** (exponent - bias);
  });

  const minNormal = 2 ** (1 - bias);
  // Added to a subnormal, it puts the format's smallest unit at the last bit of the f32, which then rounds to it.
  const unitAtLastBit = (minNormal / units) * 2 ** 23;
  float[0] = unitAtLastBit;
  const unitAtLastBitBits = bits[0];
  const shift = 23 - mantissaBits;

  function encode(x: number): number {
    float[0] = x;
    const sign = (bits[0] >>> 24) & 0x80;
    const magnitude = bits[0] & 0x7fff_ffff;
    if (magnitude > 0x7f80_0000) return sign | 0x7f;
    let code: number;
    if (Math.abs(x) < minNormal) {
      float[0] = Math.abs(x) + unitAtLastBit;
      code = bits[0] - unitAtLastBitBits;
    } else {
      const rebiased = magnitude - ((127 - bias) << 23);
      code = (rebiased + (1 << (shift - 1)) - 1 + ((magnitude >>> shift) & 1)) >>> shift;
    }
    return sign | Math.min(code, overflow);
  }

  return {
    name,
    blockSize: 1,
    blockBytes: 1,
    decode(blocks, out) {
      for (let i = 0; i < blocks.length; i++) out[i] = table[blocks[i]];
    },
    encode(values, out) {
      for (let i = 0; i < values.length; i++) out[i] = encode(values[i]);
    },
  };
}

/**
 * E4M3FN of "FP8 Formats for Deep Learning" (Micikevicius et al., 2022): 1 sign, 4 exponent, 3 mantissa bits; no infinity,
 * NaN is 0x7f and 0xff, the largest value 448. What rounds to more becomes NaN.
 */
export const f8E4m3: WritableFormat = format8('f8_e4m3', {
  exponentBits: 4,
  mantissaBits: 3,
  special: (mantissa) => (mantissa === 7 ? NaN : (1 + mantissa / 8) * 2 ** 8),
  overflow: 0x7f,
});

/** E5M2: the upper byte of an IEEE half, with its infinities; the largest finite value is 57344. */
export const f8E5m2: WritableFormat = format8('f8_e5m2', {
  exponentBits: 5,
  mantissaBits: 2,
  special: (mantissa) => (mantissa === 0 ? Infinity : NaN),
  overflow: 0x7c,
});
