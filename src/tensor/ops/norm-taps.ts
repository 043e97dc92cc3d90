import { tap, watched } from '../scope.ts';
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
