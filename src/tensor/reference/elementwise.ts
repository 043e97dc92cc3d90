import type { BinaryOp, Floats, ReduceOp, UnaryOp } from '../backend.ts';
import { elements } from '../dtype.ts';
import { broadcastSteps, type Shape } from '../shape.ts';
import { erf } from './erf.ts';
import { emptyLike } from './movement.ts';

const BINARY: Record<BinaryOp, (x: number, y: number) => number> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  maximum: Math.max,
  minimum: Math.min,
};

const UNARY: Record<UnaryOp, (x: number) => number> = {
  square: (x) => x * x,
  sqrt: Math.sqrt,
  exp: Math.exp,
  log: Math.log,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  erf,
};

interface Values {
  readonly values: Floats;
  readonly shape: Shape;
}

/** Elementwise op of two arrays; `shape` is that of the result, to which both broadcast. */
export function binary(op: BinaryOp, a: Values, b: Values, shape: Shape): Floats {
  const f = BINARY[op];
  const out = emptyLike(a.values, elements(shape));
  const stepsA = broadcastSteps(a.shape, shape);
  const stepsB = broadcastSteps(b.shape, shape);
  const index = new Int32Array(shape.length);
  let i = 0;
  let j = 0;
  for (let o = 0; o < out.length; o++) {
    out[o] = f(a.values[i], b.values[j]);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      i += stepsA[axis];
      j += stepsB[axis];
      if (++index[axis] < shape[axis]) break;
      i -= stepsA[axis] * shape[axis];
      j -= stepsB[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

/** Elementwise op of one array. */
export const unary = (op: UnaryOp, a: Floats): Floats => a.map(UNARY[op]);

/** Reduces one axis of an array of `shape`; sums are in f64, in the order of the axis. */
export function reduce(op: ReduceOp, a: Floats, shape: Shape, axis: number): Floats {
  const size = shape[axis];
  const inner = elements(shape.slice(axis + 1));
  const outer = elements(shape.slice(0, axis));
  const out = emptyLike(a, outer * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let result = op === 'max' ? -Infinity : 0;
      for (let s = 0; s < size; s++) {
        const value = a[(o * size + s) * inner + i];
        result = op === 'max' ? Math.max(result, value) : result + value;
      }
      out[o * inner + i] = op === 'mean' ? result / size : result;
    }
  }
  return out;
}

/** Softmax of each row of `width` numbers: `exp(x - max)` divided by its sum, which is in f64. */
export function softmax(a: Floats, width: number): Floats {
  const out = emptyLike(a, a.length);
  for (let row = 0; row < a.length; row += width) {
    let max = -Infinity;
    for (let i = row; i < row + width; i++) max = Math.max(max, a[i]);
    let sum = 0;
    for (let i = row; i < row + width; i++) sum += out[i] = Math.exp(a[i] - max);
    for (let i = row; i < row + width; i++) out[i] /= sum;
  }
  return out;
}
