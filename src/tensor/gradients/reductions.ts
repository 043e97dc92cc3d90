import type { ReduceOp } from '../backend.ts';
import { elements } from '../dtype.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { step, sumAlong } from './elementwise.ts';
import { rule, type Rule } from './rule.ts';

/** The rules of ops that combine the numbers along an axis. Equal largest numbers share the gradient of `max`. */
export const REDUCE_RULES: Readonly<Record<ReduceOp, readonly Rule<{ readonly axis: number }>[]>> = {
  sum: [rule([], (g, _, { shapes: [shape] }) => repeated(g, shape))],
  mean: [rule([], (g, _, { shapes: [shape], settings: { axis } }) => repeated(g.mul(1 / shape[axis]), shape))],
  max: [
    rule(['a', 'y'], (g, { a, y }, { settings: { axis } }) => {
      const isLargest = step(y.sub(a)).mul(-1).add(1);
      return isLargest.mul(g.div(sumAlong(isLargest, axis)));
    }),
  ],
};

/** The rule of softmax over the last axis. */
export const softmaxRule: Rule<undefined> = rule(['y'], (g, { y }) => g.sub(sumAlong(g.mul(y), -1)).mul(y));

/** Repeats `x` along its axes of size 1 to a shape. */
const repeated = (x: Tensor, shape: Shape): Tensor => zeros(x, shape).add(x);

/** Zeros beside a tensor, in its backend. */
export const zeros = ({ backend }: Tensor, shape: Shape): Tensor =>
  Tensor.from(backend, new Float32Array(elements(shape)), shape);
