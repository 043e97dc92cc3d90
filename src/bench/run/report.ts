import type { Compiled, Overhead } from '../timing/blocks.ts';
import type { CheckResult } from '../variants/result-check.ts';
import type { Fingerprint } from '../machine/fingerprint.ts';
import type { Limits } from '../machine/machine-limits.ts';
import type { Estimate } from '../timing/statistics.ts';
import type { Sizes } from '../suites/suite.ts';
import type { Verdict } from '../timing/verdict.ts';
import type { WeightFormat } from '../subject/weight-format.ts';

/** The measurements of one variant of one case. */
export interface Row {
  readonly suite: string;
  readonly model: string;
  readonly site: string;
  readonly phase: string;
  readonly sizes: Sizes;
  readonly inputs: string;
  /** Whether each call read weights that had left the cache. */
  readonly cold: boolean;
  /** Calls in one pass of the model. */
  readonly calls: number;
  readonly variant: string;
  readonly weights: WeightFormat;
  /** The format in which the model stores the matrices; undefined for an op without matrices. */
  readonly stored: WeightFormat | undefined;
  readonly compute: 'f32' | 'bf16';
  /** The kernels that ran, in order. */
  readonly kernels: readonly string[];
  readonly check: CheckResult;
  readonly verdict: Verdict;
  /** Seconds per call; undefined for a wrong variant, as are all figures that follow from it. */
  readonly seconds: Estimate | undefined;
  /** The ratio to the baseline's time, from blocks; undefined for the baseline. */
  readonly ratio: Estimate | undefined;
  /** The least difference that counts, as a part of 1. */
  readonly minEffect: number;
  /** The ratio of the baseline's second instance to the baseline: the noise. */
  readonly control: Estimate | undefined;
  /** Floating-point operations of a call. */
  readonly flops: number;
  /** Bytes that a call moves. */
  readonly bytes: number;
  /** The least time that memory or arithmetic allows, whichever is longer, as a part of the measured time. */
  readonly attained: number | undefined;
  /** Samples taken. */
  readonly taken: number;
  /** Samples above three times the median of their cell. */
  readonly outliers: number;
  /** Samples with any pause of the garbage collector, and with a major one. */
  readonly pauses: { readonly any: number; readonly major: number };
  /** The compilation of a file's function while it was timed, in the process where it was worst; undefined for the engine's variants. */
  readonly compiled: Compiled | undefined;
  /** For each process, the seconds per call of each cell. */
  readonly samples: readonly (readonly number[])[];
  /** The command that measures this row again. */
  readonly command: string;
}

/** The speed of decoding by the measured ops, and by the model itself. */
export interface Prediction {
  readonly model: string;
  readonly phase: string;
  readonly variant: string;
  /** By op: seconds per token, the medians of its sites times their calls. */
  readonly ops: Readonly<Record<string, number>>;
  /** Tokens per second of a model that does only these ops. */
  readonly predicted: number;
  /** Tokens per second of the model itself; undefined if it was not measured. */
  readonly measured: Estimate | undefined;
}

/** The result of a run; `compare` reads its JSON form. */
export interface Report {
  readonly format: 'vitrine-bench';
  readonly version: 1;
  readonly fingerprint: Fingerprint;
  /** The machine's limits with one thread and with all that were used; once if that is one. */
  readonly limits: readonly Limits[];
  readonly overhead: Overhead;
  readonly rows: readonly Row[];
  readonly predictions: readonly Prediction[];
}

/** A key that is the same for rows of different reports that measure the same. */
export const keyOf = ({ suite, model, site, phase, sizes, inputs, cold, variant }: Row): string =>
  JSON.stringify([suite, model, site, phase, Object.entries(sizes).sort(), inputs, cold, variant]);
