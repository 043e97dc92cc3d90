import { ShapeError } from '../../errors.ts';
import { scope } from '../scope.ts';
import { sameShape, show } from '../shape.ts';
import { kernelsFor } from '../tape.ts';
import { Tensor } from '../tensor.ts';

/**
 * `silu(gate) * up` (Shazeer, 2020), where `silu(x) = x * sigmoid(x)`; f32.
 *
 * @throws {ShapeError} when the operands differ in shape.
 */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  if (!sameShape(gate.shape, up.shape))
    throw new ShapeError(`swiglu: expected two tensors of one shape, got ${show(gate.shape)} and ${show(up.shape)}.`);
  const fused = kernelsFor(gate.backend, gate, up).swiglu?.(gate, up);
  if (fused !== undefined) return new Tensor(gate.backend, fused, gate.shape, 'f32');
  return scope('', () => gate.mul(gate.sigmoid()).mul(up));
}
