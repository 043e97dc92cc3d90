import { tap, watched } from '../tap.ts';
import type { HookPoint } from '../hook-point.ts';
import type { Tensor } from '../tensor.ts';

/** A norm in parts: `centred / scale`, and what comes after. */
export interface NormParts {
  readonly centred: () => Tensor;
  /** What `centred` is divided by, `[..., 1]`. */
  readonly scale: (centred: Tensor) => Tensor;
  /** The gain, and a bias where there is one. */
  readonly finish: (normalized: Tensor) => Tensor;
  /** All of it, in the backend's usual way. */
  readonly whole: () => Tensor;
}

/** The hook points of a norm over the residual stream. */
export const NORM_HOOKS: readonly HookPoint[] = [
  { name: 'hook_scale', axes: 'p 1', meaning: 'what the norm divides each row by' },
  { name: 'hook_normalized', axes: 'p d', meaning: 'the rows after that division, before the weight' },
];

/** Taps `hook_scale` and `hook_normalized` of a norm. Being watched must not change a bit: only an edit leaves `whole`. */
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
