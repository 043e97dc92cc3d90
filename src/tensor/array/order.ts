import { ShapeError } from '../../errors.ts';
import { show as showValue } from '../../options.ts';
import type { HostArray } from '../backend.ts';
import { elements } from '../dtype.ts';
import { scope } from '../scope.ts';
import { resolveAxis, type Shape, show } from '../shape.ts';
import type { ArrayPrimitives, KeepDim } from './array-primitives.ts';
import { reducedShape } from './reductions.ts';
import { takeAlong } from './indexing.ts';

/** The largest numbers along an axis, and where they are. */
export interface TopK<T> {
  readonly values: T;
  /** i32 */
  readonly indices: T;
}

/** Compares for a descending order, in which NaN is before all numbers, as in PyTorch. */
export function descending(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(b)) - Number(Number.isNaN(a));
  return a === b ? 0 : b - a < 0 ? -1 : 1;
}

/**
 * The places of the k first of `count` numbers in descending order, the first of equal numbers before the others. Keeps 2k
 * candidates, so that 5 of 50,000 cost one pass.
 */
export function topPlaces(numberAt: (i: number) => number, count: number, k: number): number[] {
  const before = (i: number, j: number): number => descending(numberAt(i), numberAt(j)) || i - j;
  const candidates: number[] = [];
  let last: number | undefined;
  for (let i = 0; i < count && k > 0; i++) {
    if (last !== undefined && before(i, last) > 0) continue;
    candidates.push(i);
    if (candidates.length < 2 * k) continue;
    candidates.sort(before).length = k;
    last = candidates[k - 1];
  }
  return candidates.sort(before).slice(0, k);
}

/**
 * The k largest numbers along an axis, largest first.
 *
 * @throws {ShapeError} when the axis has fewer than k.
 */
export function topk<T extends ArrayPrimitives<T>>(x: T, k: number, axis: number): TopK<T> {
  const at = resolveAxis('topk', axis, x.shape.length);
  const size = x.shape[at];
  if (k > size)
    throw new ShapeError(
      `topk: expected k up to ${size}, the size of axis ${at} of ${show(x.shape)}, got ${showValue(k)}.`,
    );
  return scope('', () => {
    const indices = alongAxis(x, at, k, (numberAt) => topPlaces(numberAt, size, k));
    return { values: takeAlong('topk', x, indices, at), indices };
  });
}

/** The places of the numbers along an axis in ascending order, NaN last, or in the order of `topk`; i32. Equal numbers keep theirs. */
export function argsort<T extends ArrayPrimitives<T>>(x: T, axis: number, isDescending: boolean): T {
  const at = resolveAxis('argsort', axis, x.shape.length);
  const size = x.shape[at];
  const sign = isDescending ? 1 : -1;
  return alongAxis(x, at, size, (numberAt) =>
    Array.from({ length: size }, (_, i) => i).sort((i, j) => sign * descending(numberAt(i), numberAt(j)) || i - j),
  );
}

/** The numbers along an axis in the order of `argsort`. */
export const sort = <T extends ArrayPrimitives<T>>(x: T, axis: number, isDescending: boolean): T =>
  scope('', () => takeAlong('sort', x, argsort(x, axis, isDescending), axis));

/**
 * The place of the largest number (`sign` 1) or the smallest (-1), the first of equal ones or of NaN; i32.
 *
 * @param axis Default: of all numbers, as if they had one axis.
 * @throws {ShapeError} when there are no numbers.
 */
export function argExtreme<T extends ArrayPrimitives<T>>(
  op: string,
  x: T,
  axis: number | undefined,
  { keepDim = false, sign }: KeepDim & { readonly sign: 1 | -1 },
): T {
  const flat = { shape: [elements(x.shape)], integers: () => x.integers(), newTensor: x.newTensor.bind(x) };
  const at = axis === undefined ? 0 : resolveAxis(op, axis, x.shape.length);
  const from = axis === undefined ? flat : x;
  const size = from.shape[at];
  if (size === 0) throw new ShapeError(`${op}: expected at least one number along the axis, got ${show(x.shape)}.`);
  const places = placesAlong(from, at, 1, (numberAt) => topPlaces((i) => sign * numberAt(i), size, 1));
  const axes = axis === undefined ? x.shape.map((_, i) => i) : [at];
  return x.newTensor(places, reducedShape(x.shape, axes, { keepDim }));
}

interface HostReadable {
  readonly shape: Shape;
  integers(): HostArray;
}

/** For each line of numbers along an axis, the `kept` places that `choose` names: `[..., kept, ...]` i32. */
function alongAxis<T extends ArrayPrimitives<T>>(
  x: T,
  axis: number,
  kept: number,
  choose: (numberAt: (i: number) => number) => readonly number[],
): T {
  return x.newTensor(placesAlong(x, axis, kept, choose), x.shape.with(axis, kept));
}

function placesAlong(
  x: HostReadable,
  axis: number,
  kept: number,
  choose: (numberAt: (i: number) => number) => readonly number[],
): Int32Array {
  const { shape } = x;
  const size = shape[axis];
  const inner = elements(shape.slice(axis + 1));
  const outer = elements(shape.slice(0, axis));
  const values = x.integers();
  const places = new Int32Array(outer * kept * inner);
  for (let o = 0; o < outer; o++) {
    for (let n = 0; n < inner; n++) {
      const chosen = choose((i) => values[(o * size + i) * inner + n]);
      for (let j = 0; j < kept; j++) places[(o * kept + j) * inner + n] = chosen[j];
    }
  }
  return places;
}
