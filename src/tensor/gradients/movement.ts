import { elements } from '../dtype.ts';
import type { Shape } from '../shape.ts';
import { concat, Tensor } from '../tensor.ts';
import { zeros } from './reductions.ts';
import { rule, type Rule } from './rule.ts';

interface Along {
  readonly axis: number;
}

/** The same numbers in the operand's shape. */
export const reshapeRule: Rule<undefined> = rule([], (g, _, { shapes: [shape] }) => g.reshape(shape));

/** The inverse order of the axes. */
export const transposeRule: Rule<{ readonly permutation: readonly number[] }> = rule([], (g, _, { settings }) =>
  g.transpose(settings.permutation.map((_axis, i) => settings.permutation.indexOf(i))),
);

/** The gradient of a box is the box within zeros. */
export const sliceRule: Rule<{ readonly begin: readonly number[] }> = rule(
  [],
  (g, _, { shapes: [shape], settings: { begin } }) =>
    begin.reduce((box, at, axis) => padded(box, axis, at, shape[axis]), g),
);

/** The operand's part of the gradient. */
export const concatRule: Rule<Along> = rule([], (g, _, { shapes, operand, settings: { axis } }) => {
  const before = shapes.slice(0, operand).reduce((sum, shape) => sum + shape[axis], 0);
  return g.slice(
    g.shape.map((_size, i) => (i === axis ? before : 0)),
    shapes[operand],
  );
});

/** The pieces are joined before: see `joinedPieces`. */
export const splitRule: Rule<Along> = rule([], (g) => g);

/** A conversion between floats is taken as the identity; gradients are f32. */
export const castRule: Rule<undefined> = rule([], (g) => g);

/** The gradient of a slice that was taken several times is the sum over the times; the second operand, indices, has none. */
export const gatherRule: Rule<Along> = rule(['b'], (g, { b }, { shapes: [shape], settings: { axis } }) => {
  const indices = b.integers();
  const size = shape[axis];
  const place = new Int32Array(size).fill(indices.length);
  indices.forEach((index, i) => (place[index] = i));
  const isDistinct = new Set(indices).size === indices.length;
  if (!isDistinct) return scattered(g, indices, axis, size);
  const none = zeros(g, g.shape.with(axis, 1));
  return concat([g, none], axis).gather(Tensor.from(g.backend, place), axis);
});

/** The gradient of a tensor that was split, from those of its pieces; a piece without one has zeros. */
export function joinedPieces(
  gradients: readonly (Tensor | undefined)[],
  shapes: readonly Shape[],
  axis: number,
): Tensor {
  const known = gradients.find((gradient) => gradient !== undefined)!;
  return concat(
    gradients.map((gradient, i) => gradient ?? zeros(known, shapes[i])),
    axis,
  );
}

/** `x` at `at` along an axis of `size` numbers, zeros elsewhere. */
function padded(x: Tensor, axis: number, at: number, size: number): Tensor {
  const own = x.shape[axis];
  const parts = [
    ...(at > 0 ? [zeros(x, x.shape.with(axis, at))] : []),
    x,
    ...(at + own < size ? [zeros(x, x.shape.with(axis, size - at - own))] : []),
  ];
  return parts.length === 1 ? x : concat(parts, axis);
}

/** Zeros to which the slices of `x` are added at their indices: on the host, for want of such a primitive. */
function scattered(x: Tensor, indices: ArrayLike<number>, axis: number, size: number): Tensor {
  const inner = elements(x.shape.slice(axis + 1));
  const count = indices.length;
  const sums = new Float64Array((elements(x.shape) / count) * size);
  x.integers().forEach((value, from) => {
    const slice = Math.floor(from / inner);
    const to = Math.floor(slice / count) * size + indices[slice % count];
    sums[to * inner + (from % inner)] += value;
  });
  return Tensor.from(x.backend, sums, x.shape.with(axis, size));
}
