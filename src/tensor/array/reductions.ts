import { ShapeError } from '../../errors.ts';
import { checkArgument, checkOptions, show as showValue } from '../../options.ts';
import { scope } from '../scope.ts';
import { resolveAxis, type Shape } from '../shape.ts';
import { type ArrayPrimitives, type Axes, AXES, KEEP_DIM, type KeepDim } from './array-primitives.ts';

/**
 * The axes as ascending numbers from 0.
 *
 * @param axes Default: all.
 * @throws {ShapeError} for an axis that a tensor of so many axes does not have, or one that is named twice.
 */
export function resolveAxes(op: string, axes: Axes | undefined, rank: number): number[] {
  checkArgument(op, 'the axes', axes, AXES);
  if (axes === undefined) return Array.from({ length: rank }, (_, axis) => axis);
  const list = typeof axes === 'number' ? [axes] : axes;
  const resolved = list.map((axis) => resolveAxis(op, axis, rank));
  if (new Set(resolved).size < resolved.length)
    throw new ShapeError(`${op}: expected each axis once, got ${showValue(list)}.`);
  return resolved.sort((a, b) => a - b);
}

/** The shape after `axes` are reduced. */
export const reducedShape = (shape: Shape, axes: readonly number[], { keepDim = false }: KeepDim): number[] =>
  keepDim
    ? shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    : shape.filter((_, axis) => !axes.includes(axis));

/**
 * Reduces several axes by a reduction of one, which keeps it with size 1.
 *
 * @param axes Default: all, which are reduced as one.
 */
export function reduceAxes<T extends ArrayPrimitives<T>>(
  op: string,
  x: T,
  axes: Axes | undefined,
  options: KeepDim,
  reduce: (x: T, axis: number) => T,
): T {
  checkOptions(op, options, KEEP_DIM);
  const { shape } = x;
  const reduced = resolveAxes(op, axes, shape.length);
  if (reduced.length === 1 && options.keepDim === true) return reduce(x, reduced[0]);
  const target = reducedShape(shape, reduced, options);
  return scope('', () => {
    const isAll = reduced.length === shape.length;
    const result = isAll ? reduce(x.reshape([-1]), 0) : reduced.reduce(reduce, x);
    return result.reshape(target);
  });
}

/** The smallest number along `axes`. */
export const min = <T extends ArrayPrimitives<T>>(x: T, axes?: Axes, options?: KeepDim): T =>
  scope('', () => x.mul(-1).max(axes, options).mul(-1));

/** The mean square of what each number differs from the mean, where `correction` is taken from their count. */
export function variance<T extends ArrayPrimitives<T>>(
  x: T,
  axes: Axes | undefined,
  { correction = 0, ...options }: KeepDim & { readonly correction?: number | undefined },
): T {
  const reduced = resolveAxes('var', axes, x.shape.length);
  const count = reduced.reduce((product, axis) => product * x.shape[axis], 1);
  return scope('', () => {
    const deviation = x.sub(x.mean(reduced, { keepDim: true }));
    return deviation
      .square()
      .sum(reduced, options)
      .div(Math.max(0, count - correction));
  });
}

/** The norm of the vectors along `axes`: the root of the sum of squares (2), the sum (1) or the largest (Infinity) of absolutes. */
export function norm<T extends ArrayPrimitives<T>>(
  x: T,
  axes: Axes | undefined,
  { ord = 2, ...options }: KeepDim & { readonly ord?: number | undefined },
): T {
  return scope('', () => {
    if (ord === 2) return x.square().sum(axes, options).sqrt();
    const absolutes = x.maximum(x.mul(-1));
    return ord === 1 ? absolutes.sum(axes, options) : absolutes.max(axes, options);
  });
}

/** `x - log(sum(exp(x)))` along `axis`, computed about the largest number, so that nothing overflows. */
export function logSoftmax<T extends ArrayPrimitives<T>>(x: T, axis: number): T {
  return scope('', () => {
    const centred = x.sub(x.max(axis, { keepDim: true }));
    return centred.sub(centred.exp().sum(axis, { keepDim: true }).log());
  });
}
