import { type DType, isFloat } from './dtype.ts';

/** Numbers of the dtypes that come as bytes. */
export type NarrowArray = Float32Array | Int32Array | Uint8Array;

/**
 * A view of row-major, little-endian bytes as numbers: a Float32Array for f32, an Int32Array for i32; for u8 and the
 * narrow float dtypes the bytes themselves.
 */
export function hostArray(bytes: Uint8Array, dtype: DType): NarrowArray {
  if (dtype === 'u8' || (isFloat(dtype) && dtype !== 'f32')) return bytes;
  const { buffer, byteOffset, byteLength } = bytes;
  return dtype === 'i32'
    ? new Int32Array(buffer, byteOffset, byteLength / 4)
    : new Float32Array(buffer, byteOffset, byteLength / 4);
}
