import type { BinaryOp, UnaryOp } from '../backend.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { rule, type Rule } from './rule.ts';

/** The rules of ops of one operand. */
export const UNARY_RULES: Readonly<Record<UnaryOp, readonly Rule<undefined>[]>> = {
  square: [rule(['a'], (g, { a }) => g.mul(a).mul(2))],
  sqrt: [rule(['y'], (g, { y }) => g.div(y).mul(0.5))],
  exp: [rule(['y'], (g, { y }) => g.mul(y))],
  log: [rule(['a'], (g, { a }) => g.div(a))],
  sigmoid: [rule(['y'], (g, { y }) => g.mul(y).mul(y.mul(-1).add(1)))],
  tanh: [rule(['y'], (g, { y }) => g.mul(y.square().mul(-1).add(1)))],
  erf: [rule(['a'], (g, { a }) => g.mul(a.square().mul(-1).exp()).mul(2 / Math.sqrt(Math.PI)))],
};

/** The rules of ops of two operands, one for each. Where `maximum` and `minimum` have equal operands, each gets half. */
export const BINARY_RULES: Readonly<Record<BinaryOp, readonly Rule<undefined>[]>> = {
  add: broadcast(
    rule([], (g) => g),
    rule([], (g) => g),
  ),
  sub: broadcast(
    rule([], (g) => g),
    rule([], (g) => g.mul(-1)),
  ),
  mul: broadcast(
    rule(['b'], (g, { b }) => g.mul(b)),
    rule(['a'], (g, { a }) => g.mul(a)),
  ),
  div: broadcast(
    rule(['b'], (g, { b }) => g.div(b)),
    rule(['b', 'y'], (g, { b, y }) => g.mul(y).div(b).mul(-1)),
  ),
  maximum: broadcast(
    rule(['a', 'b'], (g, { a, b }) => g.mul(exceeds(a, b))),
    rule(['a', 'b'], (g, { a, b }) => g.mul(exceeds(b, a))),
  ),
  minimum: broadcast(
    rule(['a', 'b'], (g, { a, b }) => g.mul(exceeds(b, a))),
    rule(['a', 'b'], (g, { a, b }) => g.mul(exceeds(a, b))),
  ),
};

/** The sum along an axis, which stays with size 1. */
export const sumAlong = (x: Tensor, axis: number): Tensor => x.sum(axis).reshape(x.shape.with(axis, 1));

/** 1 where a number is above 0, else 0. */
export const step = (x: Tensor): Tensor =>
  x
    .maximum(0)
    .mul(2 ** 127)
    .minimum(1);

/** 1 where `a` is larger than `b`, 1/2 where they are equal, else 0. */
const exceeds = (a: Tensor, b: Tensor): Tensor =>
  step(a.sub(b))
    .sub(step(b.sub(a)))
    .add(1)
    .mul(0.5);

/** The gradient of an operand that was repeated is the sum over its copies. */
function broadcast(...rules: readonly Rule<undefined>[]): Rule<undefined>[] {
  return rules.map(({ reads, pull }) => ({
    reads,
    pull: (g, call) => sumTo(pull(g, call), call.shapes[call.operand]),
  }));
}

/** The sum over the axes along which numpy's broadcasting would repeat a tensor of `shape`. */
function sumTo(x: Tensor, shape: Shape): Tensor {
  const missing = x.shape.length - shape.length;
  let summed = x;
  x.shape.forEach((size, axis) => {
    if (axis < missing || (shape[axis - missing] === 1 && size !== 1)) summed = sumAlong(summed, axis);
  });
  return missing === 0 ? summed : summed.reshape(shape);
}
