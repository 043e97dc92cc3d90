import { ShapeError } from '../../errors.ts';
import { type Check, show as showValue } from '../../options.ts';
import { elements } from '../dtype.ts';
import { scope } from '../scope.ts';
import { resolveAxis, sameShape, type Shape, show, stridesOf } from '../shape.ts';
import type { ArrayPrimitives } from './array-primitives.ts';

type Bound = `${number}` | '';

/** A slice in Python's words, `begin:end` or `begin:end:step`: `'-3:'` for the last three, `'::2'` for every second. */
export type Slice = `${Bound}:${Bound}` | `${Bound}:${Bound}:${Bound}`;

/** What stands for one axis in `at`: a place, which takes the axis away, or a slice; `'...'` stands for the axes between. */
export type Index = number | Slice | '...';

const SLICE = /^\s*(?<first>-?\d+)?\s*:\s*(?<last>-?\d+)?\s*(?::\s*(?<by>-?\d+)?\s*)?$/;

/** What `at` takes for an axis. */
export const INDEX: Check = {
  words: "a place (-1 is the last), a slice such as '1:', '-3:' or '::2', or '...'",
  holds: (value) => typeof value === 'number' || (typeof value === 'string' && (value === '...' || SLICE.test(value))),
};

/** What is taken of one axis. */
interface Taken {
  readonly begin: number;
  readonly count: number;
  readonly step: number;
  /** Whether the axis goes away. */
  readonly isPlace: boolean;
}

/**
 * The part of a tensor that indices name, one for each of its first axes; further axes stay whole. Slices are bounded by
 * their axis, as in Python.
 *
 * @throws {ShapeError} for a place beyond its axis, and for more indices than axes.
 */
export function at<T extends ArrayPrimitives<T>>(x: T, indices: readonly Index[]): T {
  const { shape } = x;
  const taken = forEachAxis(shape, indices).map((index, axis) => takenOf(shape, index, axis));
  const target = taken.filter(({ isPlace }) => !isPlace).map(({ count }) => count);
  if (taken.every(({ count, step }, axis) => count === shape[axis] && step === 1)) return x.reshape(target);
  return scope('', () => {
    const isBox = ({ step }: Taken): boolean => step === 1;
    const box = x.slice(
      taken.map((part) => (isBox(part) ? part.begin : 0)),
      taken.map((part, axis) => (isBox(part) ? part.count : shape[axis])),
    );
    const stepped = taken.reduce((part, { begin, count, step }, axis) => {
      return step === 1
        ? part
        : part.gather(
            Int32Array.from({ length: count }, (_, i) => begin + i * step),
            axis,
          );
    }, box);
    return stepped.reshape(target);
  });
}

/** One index for each axis: `...` and what is missing at the end become whole axes. */
function forEachAxis(shape: Shape, indices: readonly Index[]): Index[] {
  const gap = indices.indexOf('...');
  const named = gap < 0 ? indices.length : indices.length - 1;
  const shown = (): string =>
    `got ${indices.length === 0 ? 'none' : indices.map((index) => showValue(index)).join(', ')} for ${show(shape)}`;
  if (indices.lastIndexOf('...') !== gap) throw new ShapeError(`at: expected '...' once, ${shown()}.`);
  if (named > shape.length) throw new ShapeError(`at: expected up to ${shape.length} indices, ${shown()}.`);
  const rest = new Array<Index>(shape.length - named).fill(':');
  return gap < 0 ? [...indices, ...rest] : [...indices.slice(0, gap), ...rest, ...indices.slice(gap + 1)];
}

function takenOf(shape: Shape, index: Index, axis: number): Taken {
  const size = shape[axis];
  if (typeof index === 'number')
    return { begin: placeOf('at', index, { shape, axis }), count: 1, step: 1, isPlace: true };
  const { first, last, by = '1' } = SLICE.exec(index)!.groups as Partial<Record<string, string>>;
  const step = Number(by);
  if (step === 0) throw new ShapeError(`at: expected a step other than 0, got ${showValue(index)}.`);
  // The places from which and to which a slice can go: past the end, or before the beginning for a step back.
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const bound = (text: string | undefined, otherwise: number): number => {
    if (text === undefined) return otherwise;
    const place = Number(text);
    return Math.max(low, Math.min(high, place < 0 ? place + size : place));
  };
  const begin = bound(first, step > 0 ? low : high);
  const end = bound(last, step > 0 ? high : low);
  const count = Math.max(0, Math.ceil((end - begin) / step));
  return { begin: count === 0 ? 0 : begin, count, step, isPlace: false };
}

interface AxisOf {
  readonly shape: Shape;
  readonly axis: number;
}

/** A place within an axis, counted from 0. */
function placeOf(op: string, place: number, { shape, axis }: AxisOf): number {
  const size = shape[axis];
  const resolved = place < 0 ? place + size : place;
  if (!Number.isInteger(place) || resolved < 0 || resolved >= size)
    throw new ShapeError(
      `${op}: expected a whole number from ${-size} to ${size - 1} for axis ${axis} of ${show(shape)}, got ${place}.`,
    );
  return resolved;
}

/**
 * Indices of an axis, counted from 0: the same array where it is an Int32Array without negative ones.
 *
 * @throws {ShapeError} for an index beyond the axis.
 */
export function resolvePlaces(op: string, places: ArrayLike<number>, of: AxisOf): Int32Array {
  const size = of.shape[of.axis];
  if (places instanceof Int32Array && places.every((place) => place >= 0 && place < size)) return places;
  return Int32Array.from(places, (place) => placeOf(op, place, of));
}

/**
 * The numbers at `indices` along an axis, where `indices` has the other axes of the tensor too (numpy's `take_along_axis`,
 * PyTorch's `gather`).
 *
 * @throws {ShapeError} for an index beyond the axis, and for indices of another shape or dtype.
 */
export function takeAlong<T extends ArrayPrimitives<T>>(op: string, x: T, indices: T, axis: number): T {
  const { shape } = x;
  const along = resolveAxis(op, axis, shape.length);
  const fits = indices.shape.length === shape.length && sameShape(indices.shape.with(along, shape[along]), shape);
  if (indices.dtype !== 'i32' || !fits)
    throw new ShapeError(
      `${op}: expected i32 indices of shape ${show(shape)} but for axis ${along}, got ${indices.dtype} ${show(indices.shape)}.`,
    );
  const inner = stridesOf(shape)[along];
  const places = resolvePlaces(op, indices.integers(), { shape, axis: along });
  const kept = indices.shape[along] * inner;
  const flat = places.map((place, i) => (Math.floor(i / kept) * shape[along] + place) * inner + (i % inner));
  return scope('', () =>
    x
      .reshape([elements(shape)])
      .gather(flat, 0)
      .reshape(indices.shape),
  );
}
