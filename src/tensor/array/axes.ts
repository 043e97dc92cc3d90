import { ShapeError } from '../../errors.ts';
import { elements } from '../dtype.ts';
import { scope } from '../scope.ts';
import { broadcastShapes, resolveAxis, sameShape, type Shape, show } from '../shape.ts';
import type { ArrayPrimitives, Axes } from './array-primitives.ts';
import { resolveAxes } from './reductions.ts';

/**
 * Takes axes of size 1 away.
 *
 * @param axes Default: all of size 1.
 * @throws {ShapeError} for an axis of another size.
 */
export function squeeze<T extends ArrayPrimitives<T>>(x: T, axes?: Axes): T {
  const { shape } = x;
  const gone = axes === undefined ? undefined : resolveAxes('squeeze', axes, shape.length);
  const odd = gone?.find((axis) => shape[axis] !== 1);
  if (odd !== undefined)
    throw new ShapeError(`squeeze: expected size 1, got ${shape[odd]} for axis ${odd} of ${show(shape)}.`);
  return x.reshape(shape.filter((size, axis) => (gone === undefined ? size !== 1 : !gone.includes(axis))));
}

/** Adds an axis of size 1, which becomes axis `axis` of the result. */
export function unsqueeze<T extends ArrayPrimitives<T>>(x: T, axis: number): T {
  return x.reshape(x.shape.toSpliced(resolveAxis('unsqueeze', axis, x.shape.length + 1), 0, 1));
}

/**
 * Repeats numbers along axes that `shape` has and the tensor does not, or has with size 1.
 *
 * @throws {ShapeError} when the tensor does not broadcast to `shape`.
 */
export function broadcastTo<T extends ArrayPrimitives<T>>(op: string, x: T, shape: Shape): T {
  const padded = [...new Array<number>(Math.max(0, shape.length - x.shape.length)).fill(1), ...x.shape];
  const fits = padded.length === shape.length && padded.every((size, axis) => size === shape[axis] || size === 1);
  if (!fits) throw new ShapeError(`${op}: expected a shape that broadcasts to ${show(shape)}, got ${show(x.shape)}.`);
  return scope('', () =>
    padded.reduce((part, size, axis) => {
      return size === shape[axis] ? part : part.gather(new Int32Array(shape[axis]), axis);
    }, x.reshape(padded)),
  );
}

/**
 * A matrix product whose operands have other leading axes, which broadcast, or one axis only: a vector counts as a row on
 * the left and as a column on the right, and its axis is not in the result.
 *
 * @param multiply Of operands with the same leading axes, and two further ones.
 */
export function broadcastProduct<T extends ArrayPrimitives<T>>(
  a: T,
  b: T,
  transposeB: boolean,
  multiply: (a: T, b: T, transposeB: boolean) => T,
): T {
  if (a.shape.length === 0 || b.shape.length === 0)
    throw new ShapeError(`matmul: expected vectors or matrices, got ${show(a.shape)} x ${show(b.shape)}.`);
  const [isRow, isColumn] = [a.shape.length === 1, b.shape.length === 1];
  const transposed = transposeB || isColumn;
  return scope('', () => {
    const left = isRow ? a.reshape([1, ...a.shape]) : a;
    const right = isColumn ? b.reshape([1, ...b.shape]) : b;
    const product = multiplyBatches(left, right, transposed, multiply);
    const size = product.shape;
    return product.reshape([
      ...size.slice(0, -2),
      ...(isRow ? [] : [size.at(-2)!]),
      ...(isColumn ? [] : [size.at(-1)!]),
    ]);
  });
}

function multiplyBatches<T extends ArrayPrimitives<T>>(
  a: T,
  b: T,
  transposeB: boolean,
  multiply: (a: T, b: T, transposeB: boolean) => T,
): T {
  const [left, right] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  if (sameShape(left, right)) return multiply(a, b, transposeB);
  if (right.length === 0) {
    // One matrix for all: the rows of every batch lie one after the other.
    const [rows, inner] = a.shape.slice(-2);
    const product = multiply(a.reshape([elements(left) * rows, inner]), b, transposeB);
    return product.reshape([...left, rows, product.shape[1]]);
  }
  const batch = broadcastShapes(`matmul of ${show(a.shape)} x ${show(b.shape)}`, left, right);
  const spread = (x: T): T => broadcastTo('matmul', x, [...batch, ...x.shape.slice(-2)]);
  return multiply(spread(a), spread(b), transposeB);
}

/**
 * Sums of each number and all before it along an axis, by doubling: after step n each holds the sum of the last 2^n. Nothing
 * is multiplied, so that Infinity and NaN reach only what comes after them.
 */
export function cumsum<T extends ArrayPrimitives<T>>(
  x: T,
  axis: number,
  concat: (parts: readonly T[], axis: number) => T,
): T {
  const along = resolveAxis('cumsum', axis, x.shape.length);
  const size = x.shape[along];
  const from = (y: T, begin: number, count: number): T =>
    y.slice(
      y.shape.map((_, i) => (i === along ? begin : 0)),
      y.shape.with(along, count),
    );
  return scope('', () => {
    let sums = x.mul(1); // f32 only, as all arithmetic is.
    for (let step = 1; step < size; step *= 2) {
      const later = from(sums, step, size - step).add(from(sums, 0, size - step));
      sums = concat([from(sums, 0, step), later], along);
    }
    return sums;
  });
}
