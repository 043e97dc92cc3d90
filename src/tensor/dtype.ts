/**
 * The dtypes of tensors. Arithmetic is done in f32 (and bf16 inside matrix products); f16 and the 8-bit floats are
 * formats of stored weights; i32 holds token ids and positions, u8 raw bytes.
 */
export type DType = 'f32' | 'f16' | 'bf16' | 'f8_e4m3' | 'f8_e5m2' | 'i32' | 'u8';

const BYTES: Record<DType, number> = { f32: 4, f16: 2, bf16: 2, f8_e4m3: 1, f8_e5m2: 1, i32: 4, u8: 1 };

/** Bytes of one element. */
export const byteSize = (dtype: DType): number => BYTES[dtype];

/** Whether a dtype holds floating-point numbers. */
export const isFloat = (dtype: DType): boolean => dtype !== 'i32' && dtype !== 'u8';

/** The number of elements of a shape; 1 for a scalar. */
export const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
