import type { WritableFormat } from './format.ts';

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The 16 bits of the bfloat16 nearest to `x` (ties to even; NaN stays NaN). */
export function toBf16(x: number): number {
  float[0] = x;
  const u = bits[0];
  if ((u & 0x7fff_ffff) > 0x7f80_0000) return (u >>> 16) | 0x40;
  return (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
}

/** The number that 16 bits of bf16 stand for. */
export function fromBf16(half: number): number {
  bits[0] = half << 16;
  return float[0];
}

/** Rounds each value, in place, to the nearest that bf16 can hold. */
export function roundToBf16(values: Float32Array): Float32Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const u = words[i];
    words[i] =
      (u & 0x7fff_ffff) > 0x7f80_0000 ? (u | 0x40_0000) & 0xffff_0000 : (u + 0x7fff + ((u >>> 16) & 1)) & 0xffff_0000;
  }
  return values;
}

/** bfloat16: the upper half of an f32 (1 sign, 8 exponent, 7 mantissa bits), little-endian. */
export const bf16: WritableFormat = {
  name: 'bf16',
  blockSize: 1,
  blockBytes: 2,
  decode(blocks, out) {
    const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0, n = blocks.length >> 1; i < n; i++) words[i] = (blocks[2 * i] << 16) | (blocks[2 * i + 1] << 24);
  },
  encode(values, out) {
    for (let i = 0; i < values.length; i++) {
      const half = toBf16(values[i]);
      out[2 * i] = half & 0xff;
      out[2 * i + 1] = half >>> 8;
    }
  },
};
