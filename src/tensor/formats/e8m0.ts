/** By byte: a power is a hundred times as slow as a look-up, and there is one for each number that is decoded. */
const POWERS = Float64Array.from({ length: 256 }, (_, byte) => 2 ** (byte - 127));

/**
 * E8M0 of the OCP Microscaling formats (version 1.0, section 5.4): a byte that is the exponent of a power of two, without
 * sign or mantissa. 255 is NaN there; here it is 2^128, as in the code that OpenAI and transformers read it with.
 */
export const fromE8m0 = (byte: number): number => POWERS[byte];
