import type { HostArray } from '../../tensor/backend.ts';
import { coordinates, sameShape, type Shape } from '../../tensor/shape.ts';
import { difference, firstUnequal, ulps } from './difference.ts';
import { type Choice, choiceBetween } from './expert-choice.ts';
import type { Rounding } from './rounding.ts';
import type { Walk } from './walk.ts';

/** How far two passes are apart at one hook. */
export interface ComparedHook {
  readonly hook: string;
  readonly axes: string;
  readonly shape: Shape;
  /** The shape in the other pass, where it is another. */
  readonly otherShape?: Shape | undefined;
  /** The largest difference, over the scale of its row (its largest magnitude); Infinity for other shapes, ids and non-finite numbers. */
  readonly relative: number;
  /** The largest that rounding explains here. */
  readonly allowed: number;
  /** Whether it is more than rounding explains. */
  readonly isBeyond: boolean;
  /** Where it is: the index along each axis, the two numbers there, their difference, and that in units of the last place of f32. */
  readonly at: readonly number[];
  readonly values: readonly [a: number, b: number];
  readonly absolute: number;
  readonly ulps: number;
  /** The position in the prompt, and the token there, where the hook has such an axis. */
  readonly position?: number | undefined;
  readonly token?: number | undefined;
  /** The largest relative differences from the oracle. */
  readonly errors?: { readonly a: number; readonly b: number } | undefined;
  /** Which of the two are further from the oracle than rounding explains. */
  readonly wrong?: readonly ('a' | 'b')[] | undefined;
  /** The experts between which the two passes decided differently. */
  readonly choice?: Choice | undefined;
}

/** Compares one hook, and takes note of its difference for those that follow. */
export function compareHook(walk: Walk, hook: string, axes: string): ComparedHook {
  const [a, b] = [walk.a.acts[hook], walk.b.acts[hook]];
  const { shape } = a;
  const { allowed } = walk.between;
  if (!sameShape(shape, b.shape))
    return { ...nowhere(hook, axes, shape), otherShape: b.shape, relative: Infinity, isBeyond: true, allowed };
  const [x, y] = [a.integers(), b.integers()];
  if (a.dtype === 'i32' || b.dtype === 'i32') return compareIds(walk, { hook, axes, shape }, x, y);
  const { relative, index } = difference(x, y, shape);
  const oracle = fromOracle(walk, hook, [x, y], shape);
  walk.between.passed(relative);
  const isBeyond = relative > allowed && (oracle === undefined || oracle.wrong.length > 0);
  const found =
    index < 0
      ? nowhere(hook, axes, shape)
      : { hook, axes, shape, ...place(walk, axes, shape, index, [x[index], y[index]]) };
  return { ...found, relative, allowed, isBeyond, ...oracle };
}

const nowhere = (hook: string, axes: string, shape: Shape): ComparedHook => ({
  hook,
  axes,
  shape,
  relative: 0,
  allowed: 0,
  isBeyond: false,
  at: [],
  values: [0, 0],
  absolute: 0,
  ulps: 0,
});

function place(
  { tokens }: Walk,
  axes: string,
  shape: Shape,
  index: number,
  values: readonly [number, number],
): Pick<ComparedHook, 'at' | 'values' | 'absolute' | 'ulps' | 'position' | 'token'> {
  const at = coordinates(index, shape);
  const [a, b] = values;
  const axis = axes.split(' ').findIndex((letter) => letter === 'p' || letter === 'l');
  const position = axis < 0 ? undefined : at[axis] + Math.max(0, tokens.length - shape[axis]);
  const token = position === undefined ? undefined : tokens[position];
  return { at, values, absolute: Math.abs(a - b), ulps: ulps(a, b), position, token };
}

function compareIds(
  walk: Walk,
  { hook, axes, shape }: Pick<ComparedHook, 'hook' | 'axes' | 'shape'>,
  x: HostArray,
  y: HostArray,
): ComparedHook {
  const { allowed } = walk.between;
  const index = firstUnequal(x, y);
  if (index < 0) return { ...nowhere(hook, axes, shape), allowed };
  const choice = choiceBetween(walk, hook, index);
  const found = { hook, axes, shape, ...place(walk, axes, shape, index, [x[index], y[index]]) };
  return { ...found, relative: Infinity, allowed, isBeyond: choice === undefined || !choice.isTie, choice };
}

/** How far the two are from the oracle, where it has the hook. */
function fromOracle(
  { oracle, ofA, ofB }: Walk,
  hook: string,
  [a, b]: readonly [HostArray, HostArray],
  shape: Shape,
): { errors: { a: number; b: number }; wrong: ('a' | 'b')[] } | undefined {
  if (!oracle?.hooks.has(hook)) return undefined;
  const exact = oracle.acts[hook];
  if (!sameShape(exact.shape, shape)) return undefined;
  const values = exact.integers();
  const errorIn = (side: HostArray, rounding: Rounding): [error: number, isWrong: boolean] => {
    const { relative } = difference(values, side, shape);
    const isWrong = relative > rounding.allowed;
    rounding.passed(relative);
    return [relative, isWrong];
  };
  const [errorA, isWrongA] = errorIn(a, ofA);
  const [errorB, isWrongB] = errorIn(b, ofB);
  return {
    errors: { a: errorA, b: errorB },
    wrong: [...(isWrongA ? ['a' as const] : []), ...(isWrongB ? ['b' as const] : [])],
  };
}
