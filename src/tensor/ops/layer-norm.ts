import { ShapeError } from '../../errors.ts';
import { scope } from '../scope.ts';
import { sameShape, show } from '../shape.ts';
import { kernelsFor } from '../tape.ts';
import { Tensor } from '../tensor.ts';
import { tappedNorm } from './norm-taps.ts';

/**
 * Layer norm over the last axis: `(x - mean) / sqrt(variance + epsilon) * weight + bias` (Ba et al., 2016), f32. The
 * variance is the biased one, divided by the number of elements.
 *
 * @param path Scope of the taps: `hook_scale` `[..., 1]`, the divisor of `x - mean`, and `hook_normalized`, before weight
 *   and bias.
 * @throws {ShapeError} when weight or bias is not as wide as x.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number, path: string): Tensor {
  if (!sameShape(weight.shape, x.shape.slice(-1)) || !sameShape(bias.shape, weight.shape))
    throw new ShapeError(
      `layerNorm: expected a weight and a bias as wide as ${show(x.shape)}, got ${show(weight.shape)} and ${show(bias.shape)}.`,
    );
  const centred = (): Tensor => x.sub(x.mean(-1, { keepDim: true }));
  const scale = (from: Tensor): Tensor => from.square().mean(-1, { keepDim: true }).add(epsilon).sqrt();
  const finish = (normalized: Tensor): Tensor => normalized.mul(weight).add(bias);
  const whole = (): Tensor => {
    const fused = kernelsFor(x.backend, x, weight, bias).layerNorm?.(x, weight, bias, epsilon);
    if (fused !== undefined) return new Tensor(x.backend, fused, x.shape, 'f32');
    const from = centred();
    return finish(from.div(scale(from)));
  };
  return scope(path, () => tappedNorm({ centred, scale, finish, whole }));
}
