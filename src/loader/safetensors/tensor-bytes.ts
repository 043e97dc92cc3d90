import { isFloat, type DType, byteSize } from '../../tensor/dtype.ts';
import { floatFormat } from '../../tensor/formats/float-formats.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { SafetensorsDType } from './dtypes.ts';

/** The format's names for the dtypes of tensors. */
export const DTYPE_OF_TENSOR: Readonly<Record<DType, SafetensorsDType>> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  f8_e4m3: 'F8_E4M3',
  f8_e5m2: 'F8_E5M2',
  i32: 'I32',
  u8: 'U8',
};

/** The numbers of a tensor as a file holds them: row-major, little-endian, in its dtype, which holds each of them exactly. */
export function tensorBytes(x: Tensor): ArrayBufferView {
  const values = x.integers();
  if (!isFloat(x.dtype) || x.dtype === 'f32') return values;
  const bytes = new Uint8Array(values.length * byteSize(x.dtype));
  floatFormat(x.dtype).encode(Float32Array.from(values), bytes);
  return bytes;
}
