import type { Distribution } from '../inputs/distributions.ts';
import type { WeightFormat } from '../subject/weight-format.ts';
import type { Sizes } from '../suites/suite.ts';
import type { LaneTimes } from '../timing/blocks.ts';
import type { EngineVariant } from '../variants/engine-variants.ts';
import type { CheckResult } from '../variants/result-check.ts';

/** A variant of the engine, or a kernel in a file. */
export type VariantSpec = EngineVariant | { readonly name: string; readonly file: string };

/** A case to be measured by one process, in plain data that can be sent to it. */
export interface CaseSpec {
  /** The suite's name. */
  readonly suite: string;
  readonly site: string;
  readonly sizes: Sizes;
  /** The format in which the model stores the matrices; undefined for an op without matrices. */
  readonly stored: WeightFormat | undefined;
  readonly distribution: Distribution;
  /** For `recorded`: the safetensors file with the activations. */
  readonly recording: string | undefined;
  /** Bytes that all copies of the weights exceed together; 0 for one copy, which stays in the cache. */
  readonly coldBytes: number;
  /** The baseline first. */
  readonly variants: readonly VariantSpec[];
  /** Time for all blocks. */
  readonly milliseconds: number;
  /** The standard error of ratios below which no more blocks are needed. */
  readonly precision: number;
  /** Default: all cores. */
  readonly threads: number | undefined;
  readonly seed: number;
}

/** Bytes that a call moves. */
export interface BytesMoved {
  /** Weights and stores, of which there are copies out of the cache. */
  readonly read: number;
  /** Everything else: activations, vectors and the result. */
  readonly rest: number;
}

/** A process's measurements of a variant. */
export interface VariantResult {
  readonly name: string;
  readonly weights: WeightFormat;
  readonly compute: 'f32' | 'bf16';
  readonly bytes: BytesMoved;
  /** The kernels that ran, in order. */
  readonly kernels: readonly string[];
  /** Copies of the weights. */
  readonly copies: number;
  /** The worst of the checks before and after timing. */
  readonly check: CheckResult;
  /** Undefined for a wrong variant. */
  readonly times: LaneTimes | undefined;
}

/** A process's measurements of a case. */
export interface CaseResult {
  readonly variants: readonly VariantResult[];
  /** A second instance of the baseline: see `measureCase`. Undefined when the baseline is wrong. */
  readonly control: LaneTimes | undefined;
}
