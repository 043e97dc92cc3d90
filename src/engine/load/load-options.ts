import type { OnProgress } from '../../loader/progress.ts';
import type { NetworkOptions } from '../../model/families/registry.ts';
import { CALLBACK, type Checks, FLAG, numbers, oneOf, NAME, SIGNAL, whole } from '../../options.ts';
import type { BackendName } from '../../tensor/backends.ts';
import { THREADS } from '../../tensor/thread-count.ts';

/** How weights are held, and what they may take. */
export interface WeightOptions {
  /**
   * The dtype of matrices in memory. `auto` (default) keeps f32 and bf16 as they are stored, and MXFP4 and 8-bit floats
   * with factors for their blocks in their codes; f16 becomes f32, and other formats become bf16.
   */
  weights?: 'auto' | 'f32' | 'bf16';
  /** The dtype of operands inside matrix products; default: that of the matrix where the processor multiplies it. */
  compute?: 'f32' | 'bf16' | undefined;
  /** How multi-head latent attention (DeepSeek) computes: see `NetworkOptions`. Default `absorbed`. */
  mla?: NetworkOptions['mla'];
  /**
   * Tokens that a text is to have at most: `generate` then ends with `length`, other calls refuse. Default: as many as the
   * model was made for (`max_position_embeddings`) or, where fewer fit, as fit. A longer one is allowed, and noted.
   */
  context?: number | undefined;
  /** Bytes that the model may take, weights, cache and activations. Default: nine tenths of what the machine has left. */
  maxMemory?: number | undefined;
  onProgress?: OnProgress | undefined;
  signal?: AbortSignal | undefined;
}

/** How to load a model. */
export interface LoadOptions extends WeightOptions {
  /** Default `auto`: tensorflow where it is installed, else reference. */
  backend?: BackendName | 'auto';
  /**
   * Threads of the backend, 1 to 64 (or to the number of cores, where there are more); default: all cores. TensorFlow takes
   * it once per process.
   */
  threads?: number | undefined;
  /** Branch, tag or commit of a hub repository. Default `main`. */
  revision?: string | undefined;
  /** Follows links of a model folder that lead out of it, with a note for each. Default false: they are refused. */
  allowLinks?: boolean | undefined;
  /** Hash every file before it is used, and refuse the model where one is not as it was published. Default false. */
  verify?: boolean | undefined;
}

/** How to open a model's files. */
export type OpenOptions = Pick<LoadOptions, 'revision' | 'allowLinks' | 'verify' | 'onProgress' | 'signal'>;

/** What `openModel` takes. */
export const OPEN_CHECKS: Checks<OpenOptions> = {
  revision: NAME,
  allowLinks: FLAG,
  verify: FLAG,
  onProgress: CALLBACK,
  signal: SIGNAL,
};

/** What `load` takes. */
export const LOAD_CHECKS: Checks<LoadOptions> = {
  ...OPEN_CHECKS,
  backend: oneOf('auto', 'tensorflow', 'reference'),
  threads: THREADS,
  weights: oneOf('auto', 'f32', 'bf16'),
  compute: oneOf('f32', 'bf16'),
  mla: oneOf('absorbed', 'naive'),
  context: whole(1),
  maxMemory: numbers('a number of bytes above 0', (x) => x > 0),
};
