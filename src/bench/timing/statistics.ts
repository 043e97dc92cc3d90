import { createRandom, type Random } from '../../sampling/random.ts';

/** A median with its 95% confidence interval. */
export interface Estimate {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Resamples of a bootstrap. */
const RESAMPLES = 1000;
/** The part of the resamples on each side of a 95% interval. */
const TAIL = 0.025;

/** The `q`-quantile, linear between two values (numpy's default). NaN for an empty list. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = Float64Array.from(values).sort();
  return quantileOfSorted(sorted, q);
}

/** The 0.5-quantile; NaN for an empty list. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/**
 * The ratio variant / baseline of each block. A block has two cells of each: the ratio is the geometric mean of the variant's two
 * times over that of the baseline's. In the order ABBA, a drift of the machine that is linear in time cancels.
 */
export function blockRatios(variant: readonly number[], baseline: readonly number[]): number[] {
  const blocks = Math.floor(Math.min(variant.length, baseline.length) / 2);
  return Array.from({ length: blocks }, (_, block) => {
    const [first, second] = [2 * block, 2 * block + 1];
    return Math.sqrt((variant[first] * variant[second]) / (baseline[first] * baseline[second]));
  });
}

/**
 * The median of samples that come in groups, one per process, with a bootstrap interval (percentiles of 1,000 resamples).
 * A resample draws processes, and then samples within each, so that the interval covers differences between processes
 * (memory layout, compilation). Drawing from all samples at once would make it too narrow.
 */
export function estimate(processes: readonly (readonly number[])[]): Estimate {
  const groups = processes.filter((samples) => samples.length > 0);
  const middle = median(groups.flat());
  if (groups.length === 0) return { median: middle, low: middle, high: middle };
  const random = createRandom(groups.length);
  const medians = Float64Array.from({ length: RESAMPLES }, medianResampler(groups, random)).sort();
  return { median: middle, low: quantileOfSorted(medians, TAIL), high: quantileOfSorted(medians, 1 - TAIL) };
}

/**
 * The ratio `after / before` of two medians that were measured in different runs, with a bootstrap interval that resamples
 * both. The machine's drift does not cancel here, as it does in blocks.
 */
export function estimateRatio(before: readonly (readonly number[])[], after: readonly (readonly number[])[]): Estimate {
  const random = createRandom(before.length * 1009 + after.length);
  const [drawBefore, drawAfter] = [before, after].map((groups) =>
    medianResampler(
      groups.filter((samples) => samples.length > 0),
      random,
    ),
  );
  const ratios = Float64Array.from({ length: RESAMPLES }, () => drawAfter() / drawBefore()).sort();
  return {
    median: median(after.flat()) / median(before.flat()),
    low: quantileOfSorted(ratios, TAIL),
    high: quantileOfSorted(ratios, 1 - TAIL),
  };
}

/** The slope of the least-squares line through the points. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (pick: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + pick(point), 0) / points.length;
  const meanX = mean(([x]) => x);
  const meanY = mean(([, y]) => y);
  return mean(([x, y]) => (x - meanX) * (y - meanY)) / mean(([x]) => (x - meanX) ** 2);
}

/**
 * A function that gives the median of a new resample with each call: as many groups as there are, and in each as many samples as it
 * has, both drawn with replacement. It counts ranks in the order of all samples, so that no resample has to be sorted.
 */
function medianResampler(groups: readonly (readonly number[])[], random: Random): () => number {
  const sorted = Float64Array.from(groups.flat()).sort();
  const places = new Map<number, number>();
  sorted.forEach((value, place) => places.set(value, place));
  const placed = groups.map((group) => Int32Array.from(group, (value) => places.get(value)!));
  const counts = new Int32Array(sorted.length);
  return () => {
    counts.fill(0);
    let total = 0;
    const draw = <T>(items: ArrayLike<T>): T => items[Math.floor(random() * items.length)];
    placed.forEach(() => {
      const group = draw(placed);
      total += group.length;
      group.forEach(() => counts[draw(group)]++);
    });
    let place = 0;
    for (let passed = counts[0]; 2 * passed < total; passed += counts[++place]);
    return sorted[place];
  };
}

function quantileOfSorted(sorted: Float64Array, q: number): number {
  if (sorted.length === 0) return NaN;
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const above = Math.ceil(at);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}
