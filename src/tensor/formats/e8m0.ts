/**
 * E8M0 of the OCP Microscaling formats (version 1.0, section 5.4): a byte that is the exponent of a power of two, without
 * sign or mantissa. 255 is NaN there; here it is 2^128, as in the code that OpenAI and transformers read it with.
 */
export const fromE8m0 = (byte: number): number => 2 ** (byte - 127);
