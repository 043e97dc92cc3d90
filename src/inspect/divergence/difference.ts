import type { HostArray } from '../../tensor/backend.ts';
import type { Shape } from '../../tensor/shape.ts';

/** How far two arrays of numbers are apart, where they are furthest. */
export interface Difference {
  /** Difference of the two numbers over the scale of their row; Infinity where one of them only is finite. 0: all are equal. */
  readonly relative: number;
  /** Index of the two numbers in the flat arrays; -1 where all are equal. */
  readonly index: number;
}

const NONE: Difference = { relative: 0, index: -1 };

/** Numbers below stand for what is hidden: -Infinity here, and the lowest number of its dtype in PyTorch. */
const HIDDEN = -1e30;

/**
 * The largest difference relative to the scale of its row, which is the largest magnitude along the last axis, or that of
 * the median row where that is more: rows of little weight, and those of a single number, would else have any error. One
 * scale for all rows would not do, since the first token's may have 100 times the others' magnitude.
 */
export function difference(a: HostArray, b: HostArray, shape: Shape): Difference {
  const width = Math.max(1, shape.at(-1) ?? 1);
  const scales = rowScales(a, width);
  const typical = scales.toSorted()[scales.length >> 1];
  let worst = NONE;
  for (let index = 0; index < a.length; index++) {
    const [x, y] = [a[index], b[index]];
    if (x === y || (x < HIDDEN && y < HIDDEN) || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const scale = Math.max(scales[Math.floor(index / width)], typical);
    const relative = Number.isFinite(x) && Number.isFinite(y) ? Math.abs(x - y) / (scale || 1) : Infinity;
    if (relative > worst.relative) worst = { relative, index };
  }
  return worst;
}

function rowScales(values: HostArray, width: number): Float64Array {
  const scales = new Float64Array(Math.ceil(values.length / width));
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]);
    const row = Math.floor(i / width);
    if (magnitude < -HIDDEN && magnitude > scales[row]) scales[row] = magnitude;
  }
  return scales;
}

/** The first index at which two arrays of integers differ; -1 for none. */
export const firstUnequal = (a: HostArray, b: HostArray): number => a.findIndex((x, i) => x !== b[i]);

/** The distance of two numbers in units of the last place of f32, of the larger one. */
export function ulps(a: number, b: number): number {
  const larger = Math.max(Math.abs(a), Math.abs(b));
  const exponent = Math.max(-126, Math.floor(Math.log2(larger)));
  return Math.abs(a - b) / 2 ** (exponent - 23);
}
