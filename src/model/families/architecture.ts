import type { Json } from '../../json.ts';
import type { Decoder } from '../parts/decoder.ts';
import type { Weights } from '../weights/weights.ts';

/** Builds a network from config.json, asking for its weights by name and shape. */
export type Architecture = (config: Json, weights: Weights, options: NetworkOptions) => Decoder;

/** Choices between ways to compute the same function. */
export interface NetworkOptions {
  /**
   * Multi-head latent attention: `absorbed` caches the latents and attends to them, `naive` expands them to keys and
   * values of every head and caches those.
   */
  readonly mla: 'absorbed' | 'naive';
}
