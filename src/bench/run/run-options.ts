import type { Distribution } from '../inputs/distributions.ts';

/** The settings of `run`, which are the options of `vitrine bench`. */
export interface RunOptions {
  /** Names of suites. */
  readonly suites: readonly string[];
  /** Models whose shapes are taken: folders, GGUF files, hub ids. */
  readonly models: readonly string[];
  /** `decode`, `decode:DEPTH`, `prefill:TOKENS`. Default `['decode']`. */
  readonly shapes?: readonly string[] | undefined;
  /** Distributions of activations. Default `['normal']`. */
  readonly inputs?: readonly Distribution[] | undefined;
  /** Only cases whose site contains one of these. Default: all. */
  readonly sites?: readonly string[] | undefined;
  /** Names of the engine's variants (`VARIANT_NAMES`), or `['none']`. Default: all but the reference's, which are far slower. */
  readonly variants?: readonly string[] | undefined;
  /** Files with kernels, which become variants too. */
  readonly files?: readonly string[] | undefined;
  /** The variant that others are compared with. Default: the engine's first. */
  readonly baseline?: string | undefined;
  /** Whether each call reads weights that have left the cache. Default: while a token is decoded. */
  readonly cold?: boolean | undefined;
  /** The least and the largest number of processes: more than the least are started while a verdict is UNSURE. Default 5 and 10. */
  readonly processes?: readonly [least: number, most: number] | undefined;
  /**
   * Seconds to time a case in one process, up to four times as long on a noisy machine; below 1, less time is spent on the
   * machine's limits too. Default 1.
   */
  readonly seconds?: number | undefined;
  /** The least difference that counts, as a part of 1. Default 0.05. */
  readonly minEffect?: number | undefined;
  /** Threads of the backends. Default: all cores. */
  readonly threads?: number | undefined;
  /** Determines the inputs. Default 1. */
  readonly seed?: number | undefined;
  /** Whether to time the model itself beside a prediction, which loads its weights. Default true. */
  readonly measureModel?: boolean | undefined;
  /** Called with a line about each step. */
  readonly onProgress?: ((text: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}
