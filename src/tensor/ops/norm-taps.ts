import { tap, watched } from '../tap.ts';
import type { HookPoint } from '../hook-point.ts';
import type { Tensor } from '../tensor.ts';

/** A norm, in the parts that its taps show and whole: `finish(centred / scale(centred))`. */
export interface NormParts {
  /** The input, in layer norm less its mean. */
  readonly centred: () => Tensor;
  /** The divisor of `centred`, `[..., 1]`. */
  readonly scale: (centred: Tensor) => Tensor;
  /** Applies the weight, and the bias of layer norm. */
  readonly finish: (normalized: Tensor) => Tensor;
  /** The whole norm, by a fused kernel where the backend has one. */
  readonly whole: () => Tensor;
}

/** The hook points of a norm over the residual stream. */
export const NORM_HOOKS: readonly HookPoint[] = [
  { name: 'hook_scale', axes: 'p 1', meaning: 'what the norm divides each row by' },
  { name: 'hook_normalized', axes: 'p d', meaning: 'the rows after that division, before the weight' },
];

/**
 * Computes a norm with its taps `hook_scale` and `hook_normalized`. Observers that change nothing must not change a bit of
 * the result: it is that of `whole` unless an edit replaced one of the two.
 */
export function tappedNorm({ centred, scale, finish, whole }: NormParts): Tensor {
  if (!watched('hook_scale') && !watched('hook_normalized')) return whole();
  const x = centred();
  const divisor = scale(x);
  const usedDivisor = tap('hook_scale', divisor);
  const normalized = x.div(usedDivisor);
  const usedNormalized = tap('hook_normalized', normalized);
  const edited = usedDivisor !== divisor || usedNormalized !== normalized;
  return edited ? finish(usedNormalized) : whole();
}
