import { createRandom, type Random } from '../sampling/random.ts';

/** A figure, and where it lies with 95% confidence. */
export interface Estimate {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 1000;
const TAIL = 0.025;

/** The value below which a part `q` of the numbers lies, between two of them by their distance. NaN of none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = Float64Array.from(values).sort();
  return quantileOfSorted(sorted, q);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/**
 * The ratio variant / baseline of each block, from the times of its cells, two to a block: the geometric mean of the two of the
 * variant over that of the baseline's. In the order ABBA a drift of the machine that is even in time cancels.
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
 * Processes are drawn first and samples within each afterwards: what differs from process to process (where memory lies,
 * what the compiler chose) is then part of the interval, which drawing all samples alike would understate.
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
 * The ratio of two medians that were measured apart, `after / before`, with a bootstrap interval in which both are
 * drawn anew. Nothing of the machine's drift cancels here, as it does in blocks.
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

/** Slope of the line nearest to the points, by least squares. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (pick: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + pick(point), 0) / points.length;
  const meanX = mean(([x]) => x);
  const meanY = mean(([, y]) => y);
  return mean(([x, y]) => (x - meanX) * (y - meanY)) / mean(([x]) => (x - meanX) ** 2);
}

/**
 * Draws samples anew again and again, as many groups and in each that was drawn as many samples as it has, and gives the medians.
 * A sample counts by its place in the order of all, so that no draw has to be sorted.
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
