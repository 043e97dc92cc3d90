import { OPEN_CHECKS, type OpenOptions } from '../../loader/open/open-model.ts';
import type { NetworkOptions } from '../../model/families/architecture.ts';
import { type Checks, numbers, oneOf, whole } from '../../options.ts';
import { BACKEND_NAMES, type BackendName } from '../../tensor/backends.ts';
import { THREADS } from '../../tensor/thread-count.ts';

/** How weights are held, and how much memory a model may take. */
export interface WeightOptions extends Pick<OpenOptions, 'onProgress' | 'signal'> {
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
}

/** How to load a model. */
export interface LoadOptions extends WeightOptions, OpenOptions {
  /** Default `auto`: the first of `BACKEND_NAMES` that can be used here. */
  backend?: BackendName | 'auto';
  /**
   * Threads of the backend, 1 to 64 (or to the number of cores, where there are more); default: all cores. TensorFlow takes
   * it once per process.
   */
  threads?: number | undefined;
}

/** The requirement on each of the `LoadOptions`. */
export const LOAD_CHECKS: Checks<LoadOptions> = {
  ...OPEN_CHECKS,
  backend: oneOf('auto', ...BACKEND_NAMES),
  threads: THREADS,
  weights: oneOf('auto', 'f32', 'bf16'),
  compute: oneOf('f32', 'bf16'),
  mla: oneOf('absorbed', 'naive'),
  context: whole(1),
  maxMemory: numbers('a number of bytes above 0', (x) => x > 0),
};
