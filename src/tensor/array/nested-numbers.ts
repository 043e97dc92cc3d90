import { ShapeError } from '../../errors.ts';
import { isNumericArray, OptionError, show as showValue } from '../../options.ts';
import type { HostArray } from '../backend.ts';
import { type Shape, sameShape, show, stridesOf } from '../shape.ts';

/** Numbers in arrays of arrays, or typed arrays: rows of one axis have one length, as in `[[1, 2], [3, 4]]`. */
export type NestedNumbers = ArrayLike<number> | readonly NestedNumbers[];

/** What `toArray` gives: a number for a tensor without axes, else arrays, one level for each axis. */
export type NestedArray = number | NestedArray[];

/** Numbers, row-major, with the shape that their nesting says. */
export interface FlatNumbers {
  readonly values: ArrayLike<number>;
  readonly shape: Shape;
}

/**
 * The numbers of nested arrays in one array, with their shape.
 *
 * @param call Names the public call in the error.
 * @throws {OptionError} for what is no array, and for items that are no numbers.
 * @throws {ShapeError} for rows of different lengths.
 */
export function flatten(call: string, nested: NestedNumbers): FlatNumbers {
  if (isNumericArray(nested)) return { values: nested, shape: [nested.length] };
  if (!Array.isArray(nested) || nested.length === 0 || !isList(nested[0]))
    return { values: flatList(call, nested), shape: [nested.length] };
  const rows = (nested as readonly NestedNumbers[]).map((row) => flatten(call, row));
  const [{ shape }] = rows;
  const odd = rows.findIndex((row) => !sameShape(row.shape, shape));
  if (odd > 0)
    throw new ShapeError(
      `${call}: expected rows of one shape, got ${show(shape)} at 0 and ${show(rows[odd].shape)} at ${odd}.`,
    );
  return { values: rows.flatMap(({ values }) => Array.from(values)), shape: [rows.length, ...shape] };
}

const isList = (value: unknown): value is NestedNumbers => Array.isArray(value) || isNumericArray(value);

function flatList(call: string, list: unknown): number[] {
  const isFlat = Array.isArray(list) && Array.from(list).every((item) => typeof item === 'number'); // A hole is no number.
  if (isFlat) return list as number[];
  throw new OptionError(
    `${call}: values must be numbers, in an array, nested arrays or a typed array, got ${showValue(list)}.`,
  );
}

/** Row-major values as nested arrays of a shape. */
export function nest(values: HostArray, shape: Shape): NestedArray {
  const strides = stridesOf(shape);
  const build = (axis: number, from: number): NestedArray =>
    axis === shape.length
      ? values[from]
      : Array.from({ length: shape[axis] }, (_, i) => build(axis + 1, from + i * strides[axis]));
  return build(0, 0);
}
