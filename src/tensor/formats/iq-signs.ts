/** Signs of 8 elements by a byte: element i is negative where bit i is 1. `[256 * 8]`, 1 or -1. */
export const SIGNS = Float32Array.from({ length: 2048 }, (_, i) => (((i >> 3) >> (i & 7)) & 1 ? -1 : 1));

/** The byte of signs that 7 bits stand for: the eighth makes the number of negative elements even. */
export const EVEN_SIGNS = Uint8Array.from({ length: 128 }, (_, bits) => {
  let odd = 0;
  for (let rest = bits; rest > 0; rest >>= 1) odd ^= rest & 1;
  return bits | (odd << 7);
});
