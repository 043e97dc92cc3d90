import type { DType } from './dtype.ts';
import { type Shape, show } from './shape.ts';

/** The part of a tensor that a summary reads. */
interface Summarised {
  readonly disposed: boolean;
  readonly dtype: DType;
  readonly shape: Shape;
  data(): Float32Array;
}

/** Values that are printed. */
const SHOWN = 4;

/**
 * One line for consoles and debuggers: dtype, shape, then min, max and mean of the numbers that are not NaN, the count of
 * NaN, and the first four values, with four significant digits each.
 */
export function summary(tensor: Summarised): string {
  const head = `Tensor ${tensor.dtype} ${show(tensor.shape)}`;
  if (tensor.disposed) return `${head} freed`;
  const values = tensor.data();
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let nan = 0;
  for (const value of values) {
    if (Number.isNaN(value)) {
      nan++;
      continue;
    }
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
  }
  if (values.length === 0) return `${head} empty`;
  const first = Array.from(values.subarray(0, SHOWN), number).join(' ') + (values.length > SHOWN ? ' …' : '');
  if (nan === values.length) return `${head} NaN ${nan} | ${first}`;
  const mean = sum / (values.length - nan);
  return `${head} min ${number(min)} max ${number(max)} mean ${number(mean)} NaN ${nan} | ${first}`;
}

const number = (value: number): string => String(Number(value.toPrecision(4)));
