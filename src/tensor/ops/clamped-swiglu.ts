import { scope } from '../scope.ts';
import type { Tensor } from '../tensor.ts';

/**
 * The gated activation of gpt-oss: `(up + 1) * gate * sigmoid(1.702 gate)` with `gate` at most `limit` and `up` within
 * `-limit .. limit`; shapes alike, f32. Source: openai/gpt-oss, `gpt_oss/torch/model.py`, swiglu.
 */
export function clampedSwiglu(gate: Tensor, up: Tensor, limit: number): Tensor {
  return scope('', () => {
    const g = gate.minimum(limit);
    const u = up.minimum(limit).maximum(-limit);
    return u.add(1).mul(g.mul(g.mul(1.702).sigmoid()));
  });
}
