import { scope } from '../scope.ts';
import type { Tensor } from '../tensor.ts';

export interface ClampedSwigluOptions {
  /** `gate` is at most this, and `up` within plus and minus it. */
  readonly limit: number;
  /** Factor inside the sigmoid. */
  readonly alpha: number;
}

/**
 * The gated activation of gpt-oss: `(up + 1) * gate * sigmoid(alpha gate)` of clamped branches; shapes alike, f32.
 * Source: openai/gpt-oss, `gpt_oss/torch/model.py`, swiglu.
 */
export function clampedSwiglu(gate: Tensor, up: Tensor, { limit, alpha }: ClampedSwigluOptions): Tensor {
  return scope('', () => {
    const g = gate.minimum(limit);
    const u = up.minimum(limit).maximum(-limit);
    return u.add(1).mul(g.mul(g.mul(alpha).sigmoid()));
  });
}
