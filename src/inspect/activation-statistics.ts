import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { matchHooks } from '../hooks/match.ts';
import { checkOptions, type Checks, TEXTS, whole } from '../options.ts';
import { topPlaces } from '../tensor/array/order.ts';
import { coordinates } from '../tensor/shape.ts';

/** What `activationStatistics` looks at. */
export interface StatisticsOptions {
  /** Names or globs of hooks. Default: the residual stream after each layer, `blocks.*.hook_resid_post`. */
  readonly at?: readonly string[] | undefined;
  /** How many of the largest numbers are listed for each hook. Default: 5. */
  readonly outliers?: number | undefined;
}

/** A number that is large beside the others of its activation. */
export interface Outlier {
  /** Its index in the activation, one number for each axis. */
  readonly index: readonly number[];
  readonly value: number;
  /** Standard deviations from the mean. */
  readonly deviations: number;
}

/** What an activation is like. Moments and norms are of its finite numbers, in f64. */
export interface ActivationStatistics {
  readonly hook: string;
  readonly layer: number | undefined;
  readonly shape: readonly number[];
  readonly mean: number;
  /** Standard deviation, with n below the line. */
  readonly std: number;
  readonly min: number;
  readonly max: number;
  /** The fourth moment over the square of the second: 3 for a normal distribution, more where few numbers are far out. */
  readonly kurtosis: number;
  /** The Euclidean norm of each row of the first axis that is one of positions; undefined for hooks without one. */
  readonly norms: Float64Array | undefined;
  /** The finite numbers farthest from 0, the farthest first. */
  readonly outliers: readonly Outlier[];
  readonly nan: number;
  /** Infinities of either sign; masked attention scores are -Infinity. */
  readonly infinite: number;
}

const CHECKS: Checks<StatisticsOptions> = { at: TEXTS, outliers: whole(0) };

/**
 * Statistics of the activations of one pass: norms by position, moments, the largest numbers, and those that are not finite.
 * In the order of the pass, one entry for each hook.
 *
 * @throws {HookError} for a hook that the model does not have.
 */
export function activationStatistics(
  model: Model,
  prompt: Prompt,
  options: StatisticsOptions = {},
): ActivationStatistics[] {
  checkOptions('activationStatistics', options, CHECKS);
  const { at = ['blocks.*.hook_resid_post'], outliers = 5 } = options;
  const points = model.hookPoints;
  const order = [...points.keys()];
  const asked = new Set(at.flatMap((name) => matchHooks(name, order).flatMap(({ names }) => names)));
  const hooks = order.filter((name) => asked.has(name));
  const { acts, dispose } = model.run(prompt, { capture: hooks, until: hooks.at(-1) });
  try {
    return hooks.flatMap((hook) => {
      if (!(hook in acts)) return []; // An expert that no token chose.
      const { axes, layer } = points.get(hook)!;
      const positions = axes.split(' ').findIndex((axis) => axis === 'p' || axis === 'l');
      const { shape } = acts[hook];
      return [{ hook, layer, shape, ...statisticsOf(acts[hook].data(), shape, positions, outliers) }];
    });
  } finally {
    dispose();
  }
}

function statisticsOf(
  values: Float32Array,
  shape: readonly number[],
  positions: number,
  outliers: number,
): Omit<ActivationStatistics, 'hook' | 'layer' | 'shape'> {
  let [nan, infinite, sum, min, max] = [0, 0, 0, Infinity, -Infinity];
  for (const value of values) {
    if (Number.isFinite(value)) {
      sum += value;
      min = Math.min(min, value);
      max = Math.max(max, value);
    } else if (Number.isNaN(value)) nan++;
    else infinite++;
  }
  const count = values.length - nan - infinite;
  const mean = sum / count;
  let [second, fourth] = [0, 0];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    const square = (value - mean) ** 2;
    second += square / count;
    fourth += square ** 2 / count;
  }
  const std = Math.sqrt(second);
  return {
    mean,
    std,
    min,
    max,
    kurtosis: fourth / second ** 2,
    norms: positions < 0 ? undefined : normsOf(values, shape, positions),
    outliers: largest(values, outliers).map((at) => ({
      index: coordinates(at, shape),
      value: values[at],
      deviations: (values[at] - mean) / std,
    })),
    nan,
    infinite,
  };
}

function normsOf(values: Float32Array, shape: readonly number[], axis: number): Float64Array {
  const rows = shape[axis];
  const stride = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const squares = new Float64Array(rows);
  values.forEach((value, i) => {
    if (Number.isFinite(value)) squares[Math.floor(i / stride) % rows] += value ** 2;
  });
  return squares.map(Math.sqrt);
}

/** The places of the `count` finite numbers farthest from 0, the farthest first. */
function largest(values: Float32Array, count: number): number[] {
  const size = (at: number): number => (Number.isFinite(values[at]) ? Math.abs(values[at]) : -1);
  return topPlaces(size, values.length, count).filter((at) => size(at) >= 0);
}
