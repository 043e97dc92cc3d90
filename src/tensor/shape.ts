import { show as showValue } from '../options.ts';
import type { Shape } from './backend.ts';
import { elements } from './dtype.ts';
import { ShapeError } from '../errors.ts';

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, i) => size === b[i]);

export const isSize = (x: number): boolean => Number.isInteger(x) && x >= 0;

export const show = (shape: Shape): string => `[${shape.join(', ')}]`;

/** numpy's rule: aligned at the last axis, sizes are equal or one of them is 1. */
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

export function matmulShape(a: Shape, b: Shape, transposeB: boolean): Shape {
  const [m, k] = a.slice(-2);
  const [n, inner] = transposeB ? b.slice(-2) : b.slice(-2).reverse();
  const batch = a.slice(0, -2);
  if (a.length < 2 || b.length < 2 || !sameShape(batch, b.slice(0, -2)))
    throw new ShapeError(
      `matmul: expected [..., M, K] and [..., K, N] with equal leading axes, got ${show(a)} x ${show(b)}.`,
    );
  if (k !== inner)
    throw new ShapeError(
      `matmul: expected equal inner sizes, got ${show(a)} x ${show(b)}${transposeB ? ' transposed' : ''}.`,
    );
  return [...batch, m, n];
}

/** Resolves one -1 and checks that the number of elements stays. */
export function reshapeShape(from: Shape, to: Shape): Shape {
  const known = elements(to.filter((size) => size !== -1));
  const open = to.filter((size) => size === -1).length;
  const total = elements(from);
  const resolved = open === 1 && known > 0 ? to.map((size) => (size === -1 ? total / known : size)) : to;
  if (open > 1 || elements(resolved) !== total || !resolved.every(isSize))
    throw new ShapeError(`reshape: expected a shape of ${total} elements for ${show(from)}, got ${show(to)}.`);
  return resolved;
}

/** The axis as a number from 0, where -1 is the last. */
export function resolveAxis(op: string, axis: number, rank: number): number {
  const resolved = Number.isInteger(axis) && axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank)
    throw new ShapeError(`${op}: expected an axis of a tensor with ${rank} axes, got ${showValue(axis)}.`);
  return resolved;
}

/** Steps in elements from one index to the next, per axis. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  for (let i = shape.length - 1, step = 1; i >= 0; step *= shape[i--]) strides[i] = step;
  return strides;
}
