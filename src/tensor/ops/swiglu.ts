import { scope } from '../scope.ts';
import type { Tensor } from '../tensor.ts';

/** `silu(gate) * up` (Shazeer, 2020), with `silu(x) = x * sigmoid(x)`; shapes alike, f32. */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  return scope('', () => gate.mul(gate.sigmoid()).mul(up));
}
