import type { WritableFormat } from './format.ts';

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The 16 bits of the IEEE half nearest to `x` (ties to even; beyond 65504 becomes infinity; NaN stays NaN). */
export function toF16(x: number): number {
  float[0] = x;
  const u = bits[0];
  const sign = (u >>> 16) & 0x8000;
  const magnitude = u & 0x7fff_ffff;
  if (magnitude > 0x7f80_0000) return sign | 0x7e00;
  if (magnitude >= 0x4780_0000) return sign | 0x7c00; // >= 2^16
  if (magnitude < 0x3880_0000) {
    // Subnormal: adding 0.5 puts the unit of the last place of the half, 2^-24, at the last bit of the f32.
    float[0] = Math.abs(x) + 0.5;
    return sign | (bits[0] - 0x3f00_0000);
  }
  // The carry of the rounding may reach the exponent, up to infinity: that is the right result.
  return sign | ((magnitude - 0x3800_0000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

/** The number that 16 bits of IEEE half precision stand for. */
export function fromF16(half: number): number {
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 0x1f) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

let table: Float32Array | undefined;

/** Every half by its 16 bits; 256 KiB, made at the first use. */
export function f16Table(): Float32Array {
  return (table ??= Float32Array.from({ length: 65536 }, (_, half) => fromF16(half)));
}

/** IEEE 754 binary16 (1 sign, 5 exponent, 10 mantissa bits), little-endian. */
export const f16: WritableFormat = {
  name: 'f16',
  blockSize: 1,
  blockBytes: 2,
  decode(blocks, out) {
    const value = f16Table();
    for (let i = 0, n = blocks.length >> 1; i < n; i++) out[i] = value[blocks[2 * i] | (blocks[2 * i + 1] << 8)];
  },
  encode(values, out) {
    for (let i = 0; i < values.length; i++) {
      const half = toF16(values[i]);
      out[2 * i] = half & 0xff;
      out[2 * i + 1] = half >>> 8;
    }
  },
};
