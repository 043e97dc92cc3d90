import type { Shape } from '../../tensor/shape.ts';
import { concat, type Tensor } from '../../tensor/tensor.ts';

/** How a weight is seen in the parameter that holds it: a part of it, its axes split or in another order. */
export interface View {
  /** The shape of what is seen in a whole of this shape. */
  shapeOf(whole: Shape): Shape;
  /** What is seen; it may be the whole itself. */
  read(whole: Tensor): Tensor;
  /** The whole with `seen` in the place of what `read` gives. */
  write(whole: Tensor, seen: Tensor): Tensor;
}

/** All of it, as it is. */
export const WHOLE: View = {
  shapeOf: (whole) => whole,
  read: (whole) => whole,
  write: (_, seen) => seen,
};

/** `count` slices along `axis`, from `from` on. */
export const part = (axis: number, from: number, count: number): View => ({
  shapeOf: (whole) => whole.with(axis, count),
  read: (whole) => slices(whole, axis, from, count),
  write(whole, seen) {
    const end = from + count;
    const before = slices(whole, axis, 0, from);
    const after = slices(whole, axis, end, whole.shape[axis] - end);
    return concat(
      [before, seen, after].filter(({ shape }) => shape[axis] > 0),
      axis,
    );
  },
});

/** `axis` as two: `count` groups, and what each of them holds. */
export const split = (axis: number, count: number): View => {
  const shapeOf = (whole: Shape): Shape => whole.toSpliced(axis, 1, count, whole[axis] / count);
  return {
    shapeOf,
    read: (whole) => whole.reshape(shapeOf(whole.shape)),
    write: (whole, seen) => seen.reshape(whole.shape),
  };
};

/** Axis i of what is seen is axis `order[i]` of the whole. */
export const permuted = (order: readonly number[]): View => ({
  shapeOf: (whole) => order.map((axis) => whole[axis]),
  read: (whole) => whole.transpose(order),
  write: (_, seen) => seen.transpose(order.map((__, axis) => order.indexOf(axis))),
});

/** What the last view sees in what the one before it sees, and so on. */
export const chain = (...views: readonly View[]): View => views.reduce(inside, WHOLE);

const inside = (outer: View, inner: View): View => ({
  shapeOf: (whole) => inner.shapeOf(outer.shapeOf(whole)),
  read: (whole) => inner.read(outer.read(whole)),
  write: (whole, seen) => outer.write(whole, inner.write(outer.read(whole), seen)),
});

function slices(whole: Tensor, axis: number, from: number, count: number): Tensor {
  if (count === whole.shape[axis]) return whole;
  return whole.slice(
    whole.shape.map((_, i) => (i === axis ? from : 0)),
    whole.shape.with(axis, count),
  );
}
