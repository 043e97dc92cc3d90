import type { Compiled, Overhead } from './blocks.ts';
import type { CheckResult } from './check.ts';
import type { Fingerprint } from './fingerprint.ts';
import type { Limits } from './limits.ts';
import type { Estimate } from './statistics.ts';
import type { Sizes } from './suite.ts';
import type { Verdict } from './verdict.ts';
import type { WeightFormat } from './weight-format.ts';

/** One variant of one case. */
export interface Row {
  readonly suite: string;
  readonly model: string;
  readonly site: string;
  readonly phase: string;
  readonly sizes: Sizes;
  readonly inputs: string;
  /** Whether each call read weights that had left the cache. */
  readonly cold: boolean;
  readonly calls: number;
  readonly variant: string;
  readonly weights: WeightFormat;
  /** How the model stores the matrices that are read; undefined where there are none. */
  readonly stored: WeightFormat | undefined;
  readonly compute: 'f32' | 'bf16';
  /** What really ran. */
  readonly kernels: readonly string[];
  readonly check: CheckResult;
  readonly verdict: Verdict;
  /** Seconds per call; undefined for a wrong variant, as is all that follows from it. */
  readonly seconds: Estimate | undefined;
  /** Of the baseline's time, from blocks. */
  readonly ratio: Estimate | undefined;
  /** The least difference that was asked to count. */
  readonly minEffect: number;
  /** Where the baseline against itself came out. */
  readonly control: Estimate | undefined;
  readonly flops: number;
  readonly bytes: number;
  /** The part of what the machine can do at best, by memory or by arithmetic, whichever takes longer. */
  readonly attained: number | undefined;
  /** How many samples were taken, and of these: far beyond the others of their cell, with a pause of the garbage collector. */
  readonly taken: number;
  readonly outliers: number;
  readonly pauses: { readonly any: number; readonly major: number };
  /** How the function of a file was compiled while it was timed, where V8 tells; of several processes, the worst. */
  readonly compiled: Compiled | undefined;
  /** Seconds per call of each cell, by process. */
  readonly samples: readonly (readonly number[])[];
  /** The command that measures this row again. */
  readonly command: string;
}

/** The time of one token, by the ops that were measured and by the whole model. */
export interface Prediction {
  readonly model: string;
  readonly phase: string;
  readonly variant: string;
  /** Seconds per token of each op: the sum of its medians times its calls. */
  readonly ops: Readonly<Record<string, number>>;
  /** Tokens per second if there were nothing but these ops. */
  readonly predicted: number;
  /** Tokens per second of the model itself; undefined where it was not measured. */
  readonly measured: Estimate | undefined;
}

/** All that a run found out; its JSON form is what `compare` reads. */
export interface Report {
  readonly format: 'vitrine-bench';
  readonly version: 1;
  readonly fingerprint: Fingerprint;
  readonly limits: readonly Limits[];
  readonly overhead: Overhead;
  readonly rows: readonly Row[];
  readonly predictions: readonly Prediction[];
}

/** What makes two rows of different reports the same measurement. */
export const keyOf = ({ suite, model, site, phase, sizes, inputs, cold, variant }: Row): string =>
  JSON.stringify([suite, model, site, phase, Object.entries(sizes).sort(), inputs, cold, variant]);
