import { numbers } from '../../options.ts';
import { elements, isFloat } from '../dtype.ts';
import { scope } from '../scope.ts';
import { broadcastShapes, broadcastSteps, type Shape } from '../shape.ts';
import type { ArrayPrimitives } from './array-primitives.ts';
import { type FlatNumbers, flatten, type NestedNumbers } from './nested-numbers.ts';

/** What `pow` takes. */
export const EXPONENT = numbers('a number other than NaN', (x) => !Number.isNaN(x));

/** The absolute of each number. */
export const abs = <T extends ArrayPrimitives<T>>(x: T): T => scope('', () => x.maximum(x.mul(-1)));

/**
 * Each number to the power of `exponent`. Whole exponents up to 64 are products, 0.5 is the root, and others are
 * `exp(exponent * log(x))`, of which the relative error is up to `|exponent * log(x)|` times 1.2e-7.
 */
export function pow<T extends ArrayPrimitives<T>>(x: T, exponent: number): T {
  if (exponent === 0.5) return x.sqrt();
  return scope('', () => {
    if (exponent < 0) return x.newTensor([1], []).div(pow(x, -exponent));
    if (Number.isInteger(exponent) && exponent <= MOST_SQUARINGS) return wholePower(x, exponent);
    return x.log().mul(exponent).exp();
  });
}

const MOST_SQUARINGS = 64;

/** By repeated squaring, for an exponent from 0 on. */
function wholePower<T extends ArrayPrimitives<T>>(x: T, exponent: number): T {
  if (exponent === 0) return x.newTensor(new Float32Array(elements(x.shape)).fill(1), x.shape);
  if (exponent === 1) return x.reshape(x.shape);
  const half = wholePower(x, Math.floor(exponent / 2)).square();
  return exponent % 2 === 0 ? half : half.mul(x);
}

/** How two numbers are compared. */
export type Comparison = 'equal' | 'notEqual' | 'greater' | 'greaterEqual' | 'less' | 'lessEqual';

const HOLDS: Record<Comparison, (a: number, b: number) => boolean> = {
  equal: (a, b) => a === b,
  notEqual: (a, b) => a !== b,
  greater: (a, b) => a > b,
  greaterEqual: (a, b) => a >= b,
  less: (a, b) => a < b,
  lessEqual: (a, b) => a <= b,
};

/** 1 where a comparison holds and 0 elsewhere, f32, with numpy's broadcasting. Computed on the host, in the dtypes' own precision. */
export function compare<T extends ArrayPrimitives<T>>(op: Comparison, x: T, other: T | number | NestedNumbers): T {
  const right = hostOperand(op, x, other);
  const shape = broadcastShapes(op, x.shape, right.shape);
  const a = broadcastValues(x.integers(), x.shape, shape);
  const b = broadcastValues(right.values, right.shape, shape);
  const holds = HOLDS[op];
  return x.newTensor(
    Float32Array.from({ length: elements(shape) }, (_, i) => Number(holds(a[i], b[i]))),
    shape,
  );
}

/** The numbers of an operand; beside a float tensor, those of the caller are rounded to f32, which its numbers are. */
function hostOperand<T extends ArrayPrimitives<T>>(op: string, x: T, other: T | number | NestedNumbers): FlatNumbers {
  if (isTensor(other)) return { values: other.integers(), shape: other.shape };
  const { values, shape } = typeof other === 'number' ? { values: [other], shape: [] } : flatten(op, other);
  return { values: isFloat(x.dtype) ? Float32Array.from(values) : values, shape };
}

const isTensor = <T extends ArrayPrimitives<T>>(value: T | number | NestedNumbers): value is T =>
  typeof value === 'object' && value !== null && 'integers' in value;

/** Row-major values repeated along the axes that `shape` has and their own does not, or has with size 1. */
function broadcastValues(values: ArrayLike<number>, from: Shape, shape: Shape): ArrayLike<number> {
  if (values.length === elements(shape)) return values;
  const steps = broadcastSteps(from, shape);
  const index = new Int32Array(shape.length);
  let i = 0;
  return Float64Array.from({ length: elements(shape) }, () => {
    const value = values[i];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      i += steps[axis];
      if (++index[axis] < shape[axis]) break;
      i -= steps[axis] * shape[axis];
      index[axis] = 0;
    }
    return value;
  });
}
