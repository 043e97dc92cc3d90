/**
 * The dtypes of the format and their bits per element, in the format's own order of rising alignment, which the writer follows.
 */
const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** A dtype as a safetensors file spells it. */
export type SafetensorsDType = keyof typeof BITS;

/** All dtypes, by rising alignment. */
export const SAFETENSORS_DTYPES = Object.keys(BITS) as readonly SafetensorsDType[];

/** Bits of one element: 4 for F4, 6 for F6, else whole bytes. */
export const bitsPerElement = (dtype: SafetensorsDType): number => BITS[dtype];

/** Whether the format has a dtype of this name. */
export const isSafetensorsDType = (name: string): name is SafetensorsDType => Object.hasOwn(BITS, name);

const U64_MAX = 2n ** 64n - 1n;

/**
 * Bytes of a tensor; `overflow` where its bits exceed 64-bit integers, `misaligned` where they are not whole bytes. Sizes are
 * multiplied in order, as the format's own reader does: a product that overflows is an error, even when a later size is 0.
 */
export function byteLength(dtype: SafetensorsDType, shape: readonly number[]): bigint | 'overflow' | 'misaligned' {
  const sizes = [...shape, BITS[dtype]];
  const bits = exactProduct(sizes);
  if (bits !== undefined) return bits % 8 === 0 ? BigInt(bits / 8) : 'misaligned';
  let product = 1n;
  for (const size of sizes) {
    product *= BigInt(size);
    if (product > U64_MAX) return 'overflow';
  }
  return product % 8n === 0n ? product / 8n : 'misaligned';
}

/** The product where every step of it is exact in a double, else undefined; a hundred times faster than with BigInt. */
function exactProduct(sizes: readonly number[]): number | undefined {
  let product = 1;
  for (const size of sizes) {
    product *= size;
    if (product > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return product;
}
