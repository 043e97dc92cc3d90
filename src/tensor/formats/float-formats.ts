import type { DType } from '../dtype.ts';
import { bf16 } from './bf16.ts';
import { f16 } from './f16.ts';
import { f32 } from './f32.ts';
import type { WritableFormat } from './format.ts';
import { f8E4m3, f8E5m2 } from './fp8.ts';

/** How the numbers of each float dtype lie in memory. */
export const FLOAT_FORMATS: Partial<Record<DType, WritableFormat>> = {
  f32,
  f16,
  bf16,
  f8_e4m3: f8E4m3,
  f8_e5m2: f8E5m2,
};

/** The format of a dtype that is known to be a float. */
export function floatFormat(dtype: DType): WritableFormat {
  const format = FLOAT_FORMATS[dtype];
  if (format === undefined) throw new TypeError(`${dtype} is not a float dtype.`);
  return format;
}
