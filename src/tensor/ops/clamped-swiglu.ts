import { scope } from '../scope.ts';
import type { Tensor } from '../tensor.ts';

/** The constants of `clampedSwiglu`; gpt-oss has a limit of 7 and an alpha of 1.702. */
export interface ClampedSwigluOptions {
  /** Clamps `gate` from above, and `up` to the range from -limit to limit. */
  readonly limit: number;
  /** Factor inside the sigmoid. */
  readonly alpha: number;
}

/**
 * The gated activation of gpt-oss: `(up + 1) * gate * sigmoid(alpha * gate)` of clamped operands, which have one shape;
 * f32. Source: openai/gpt-oss, `gpt_oss/torch/model.py`, swiglu.
 */
export function clampedSwiglu(gate: Tensor, up: Tensor, { limit, alpha }: ClampedSwigluOptions): Tensor {
  return scope('', () => {
    const g = gate.minimum(limit);
    const u = up.minimum(limit).maximum(-limit);
    return u.add(1).mul(g.mul(g.mul(alpha).sigmoid()));
  });
}
