import { show as showValue } from '../options.ts';
import { type DType, elements } from './dtype.ts';
import { ShapeError } from '../errors.ts';

/** Sizes along the axes, the first axis outermost. */
export type Shape = readonly number[];

/** Whether two shapes have the same axes and sizes. */
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, i) => size === b[i]);

/** Whether a number can be the size of an axis: a whole number, 0 or above. */
export const isSize = (x: number): boolean => Number.isInteger(x) && x >= 0;

/** A shape for messages: `[2, 3]`. */
export const show = (shape: Shape): string => `[${shape.join(', ')}]`;

/**
 * The shape of an elementwise result, by numpy's rule: aligned at the last axis, sizes are equal or one of them is 1.
 *
 * @param op Names the op in the error.
 * @throws {ShapeError} when the shapes do not broadcast.
 */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new ShapeError(
        `${op}: expected shapes that broadcast, got ${show(a)} and ${show(b)}: axis ${i} is ${x} and ${y}.`,
      );
    return x === 1 ? y : x;
  });
}

/**
 * The shape of a matrix product: `[..., M, N]` from `[..., M, K]` and `[..., K, N]`, or `[..., N, K]` with `transposeB`.
 * Leading axes are alike.
 *
 * @throws {ShapeError} when inner sizes differ.
 */
export function matmulShape(a: Shape, b: Shape, transposeB: boolean): Shape {
  const [m, k] = a.slice(-2);
  const [n, inner] = transposeB ? b.slice(-2) : b.slice(-2).reverse();
  if (k !== inner)
    throw new ShapeError(
      `matmul: expected equal inner sizes, got ${show(a)} x ${show(b)}${transposeB ? ' transposed' : ''}.`,
    );
  return [...a.slice(0, -2), m, n];
}

/**
 * The shape `to` with its -1, of which there may be one, resolved.
 *
 * @throws {ShapeError} when the number of elements is not that of `from`.
 */
export function reshapeShape(from: Shape, to: Shape): Shape {
  const known = elements(to.filter((size) => size !== -1));
  const open = to.filter((size) => size === -1).length;
  const total = elements(from);
  const resolved = open === 1 && known > 0 ? to.map((size) => (size === -1 ? total / known : size)) : to;
  if (open > 1 || elements(resolved) !== total || !resolved.every(isSize))
    throw new ShapeError(`reshape: expected a shape of ${total} elements for ${show(from)}, got ${show(to)}.`);
  return resolved;
}

/**
 * The axis as a number from 0, where -1 is the last.
 *
 * @throws {ShapeError} when a tensor of so many axes does not have it.
 */
export function resolveAxis(op: string, axis: number, rank: number): number {
  const resolved = Number.isInteger(axis) && axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank)
    throw new ShapeError(`${op}: expected an axis of a tensor with ${rank} axes, got ${showValue(axis)}.`);
  return resolved;
}

/**
 * The shape after its axes are put in the order `permutation`.
 *
 * @throws {ShapeError} when that does not name every axis once.
 */
export function transposeShape(shape: Shape, permutation: readonly number[]): Shape {
  if (permutation.length !== shape.length || !shape.every((_, axis) => permutation.includes(axis)))
    throw new ShapeError(`transpose: expected an order of the axes of ${show(shape)}, got ${show(permutation)}.`);
  return permutation.map((axis) => shape[axis]);
}

/**
 * The shape of the box that starts at `begin`, where a size of -1 goes to the end of its axis.
 *
 * @throws {ShapeError} when the box is not within `shape`.
 */
export function sliceShape(shape: Shape, begin: Shape, size: Shape): Shape {
  const box = size.map((length, i) => (length === -1 ? shape[i] - begin[i] : length));
  const inside = box.every((length, i) => isSize(length) && isSize(begin[i]) && begin[i] + length <= shape[i]);
  if (box.length !== shape.length || begin.length !== box.length || !inside)
    throw new ShapeError(`slice: expected a box in ${show(shape)}, got begin ${show(begin)}, size ${show(size)}.`);
  return box;
}

/**
 * The shapes of the pieces of `sizes` along an axis.
 *
 * @throws {ShapeError} when they do not add up to the axis.
 */
export function splitShapes(shape: Shape, sizes: readonly number[], axis: number): Shape[] {
  if (sizes.reduce((sum, size) => sum + size, 0) !== shape[axis] || !sizes.every(isSize))
    throw new ShapeError(`split: expected sizes of axis ${axis} of ${show(shape)}, got ${show(sizes)}.`);
  return sizes.map((size) => shape.with(axis, size));
}

/**
 * The shape of tensors joined along an axis.
 *
 * @throws {ShapeError} when they differ in dtype, or in the size of another axis.
 */
export function concatShape(parts: readonly { readonly shape: Shape; readonly dtype: DType }[], axis: number): Shape {
  const [first] = parts;
  for (const { shape, dtype } of parts) {
    const alike = dtype === first.dtype && shape.length === first.shape.length;
    if (!alike || !sameShape(shape.with(axis, first.shape[axis]), first.shape))
      throw new ShapeError(
        `concat: expected ${first.dtype} ${show(first.shape)} but for axis ${axis}, got ${dtype} ${show(shape)}.`,
      );
  }
  const size = parts.reduce((sum, { shape }) => sum + shape[axis], 0);
  return first.shape.with(axis, size);
}

/** Elements from one index to the next along each axis of a row-major array. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  for (let i = shape.length - 1, step = 1; i >= 0; step *= shape[i--]) strides[i] = step;
  return strides;
}

/** The index along each axis of a row-major index. */
export function coordinates(index: number, shape: readonly number[]): number[] {
  let left = index;
  return shape
    .toReversed()
    .map((size) => {
      const at = left % size;
      left = Math.floor(left / size);
      return at;
    })
    .toReversed();
}

/** For each axis of a broadcast result, the stride in the operand: 0 where the operand is repeated. */
export function broadcastSteps(shape: Shape, result: Shape): number[] {
  const strides = stridesOf(shape);
  const missing = result.length - shape.length;
  return result.map((_, axis) => (axis < missing || shape[axis - missing] === 1 ? 0 : strides[axis - missing]));
}
