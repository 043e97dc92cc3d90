import type { DType } from '../../tensor/dtype.ts';
import { bf16 } from '../../tensor/formats/bf16.ts';
import { f16 } from '../../tensor/formats/f16.ts';
import { f32 } from '../../tensor/formats/f32.ts';
import { f64 } from '../../tensor/formats/f64.ts';
import type { Format } from '../../tensor/formats/format.ts';
import { f8E4m3, f8E5m2 } from '../../tensor/formats/fp8.ts';
import { floatConversion, type Conversion } from '../files/decode-blocks.ts';
import type { SafetensorsDType } from './dtypes.ts';

/** The formats of the stored dtypes that decode to f32. */
export const FLOAT_FORMATS: Partial<Record<SafetensorsDType, Format>> = {
  F64: f64,
  F32: f32,
  F16: f16,
  BF16: bf16,
  F8_E4M3: f8E4m3,
  F8_E5M2: f8E5m2,
};

interface Integer {
  readonly bytes: number;
  readonly get: (view: DataView, at: number) => number | bigint;
}

const INTEGERS: Partial<Record<SafetensorsDType, Integer>> = {
  BOOL: { bytes: 1, get: (view, at) => view.getUint8(at) },
  U8: { bytes: 1, get: (view, at) => view.getUint8(at) },
  I8: { bytes: 1, get: (view, at) => view.getInt8(at) },
  U16: { bytes: 2, get: (view, at) => view.getUint16(at, true) },
  I16: { bytes: 2, get: (view, at) => view.getInt16(at, true) },
  U32: { bytes: 4, get: (view, at) => view.getUint32(at, true) },
  I32: { bytes: 4, get: (view, at) => view.getInt32(at, true) },
  U64: { bytes: 8, get: (view, at) => view.getBigUint64(at, true) },
  I64: { bytes: 8, get: (view, at) => view.getBigInt64(at, true) },
};

const NATURAL: Partial<Record<SafetensorsDType, DType>> = {
  F64: 'f32',
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
  F8_E4M3: 'f8_e4m3',
  F8_E5M2: 'f8_e5m2',
  BOOL: 'u8',
  U8: 'u8',
  F8_E8M0: 'u8', // a scale 2^(byte - 127)
  I8: 'i32',
  U16: 'i32',
  I16: 'i32',
  U32: 'i32',
  I32: 'i32',
  U64: 'i32',
  I64: 'i32',
};

/** The dtype that holds the values of a stored dtype without loss; undefined where there is none. */
export const naturalDType = (stored: SafetensorsDType): DType | undefined => NATURAL[stored];

/** Whether the stored bytes are already those of `dtype`, so that nothing needs decoding. */
export const isSameFormat = (stored: SafetensorsDType, dtype: DType): boolean =>
  NATURAL[stored] === dtype && (dtype !== 'i32' || stored === 'I32') && stored !== 'F64';

/**
 * The conversion from a stored dtype to `dtype`; undefined where there is none, as from integers to floats.
 * @param fail Throws the error that is given as text when a value does not fit `dtype`.
 */
export function conversionTo(
  stored: SafetensorsDType,
  dtype: DType,
  fail: (problem: string) => never,
): Conversion | undefined {
  const format = FLOAT_FORMATS[stored];
  if (format !== undefined) return floatConversion(format, dtype);
  const integer = INTEGERS[stored];
  return integer && integerConversion(integer, dtype, fail);
}

function integerConversion(
  { bytes, get }: Integer,
  dtype: DType,
  fail: (problem: string) => never,
): Conversion | undefined {
  if (dtype !== 'i32' && dtype !== 'u8') return undefined;
  const [targetBytes, least, greatest] = dtype === 'i32' ? [4, -(2 ** 31), 2 ** 31 - 1] : [1, 0, 255];
  return {
    sourceBytes: bytes,
    targetBytes,
    convert: (source, target) => {
      const from = new DataView(source.buffer, source.byteOffset, source.byteLength);
      const to = new DataView(target.buffer, target.byteOffset, target.byteLength);
      for (let i = 0; i < source.length / bytes; i++) {
        const value = Number(get(from, i * bytes));
        if (value < least || value > greatest) fail(`the value ${value} does not fit into ${dtype}`);
        if (dtype === 'i32') to.setInt32(4 * i, value, true);
        else to.setUint8(i, value);
      }
    },
  };
}
