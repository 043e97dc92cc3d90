import { ShapeError } from '../../errors.ts';
import { scope } from '../scope.ts';
import { sameShape, show } from '../shape.ts';
import { kernelsFor } from '../tape.ts';
import { Tensor } from '../tensor.ts';
import { tappedNorm } from './norm-taps.ts';

/**
 * Root mean square norm over the last axis: `x / sqrt(mean(x^2) + epsilon) * weight` (Zhang and Sennrich, 2019), f32.
 *
 * @param path Scope of the taps: `hook_scale` `[..., 1]`, the divisor of x, and `hook_normalized`, before the weight. Default:
 *   no taps.
 * @throws {ShapeError} when the weight is not as wide as x.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number, path?: string): Tensor {
  if (!sameShape(weight.shape, x.shape.slice(-1)))
    throw new ShapeError(`rmsNorm: expected a weight as wide as ${show(x.shape)}, got ${show(weight.shape)}.`);
  const scale = (): Tensor => x.square().mean(-1, { keepDim: true }).add(epsilon).sqrt();
  const finish = (normalized: Tensor): Tensor => normalized.mul(weight);
  const whole = (): Tensor => {
    const fused = kernelsFor(x.backend, x, weight).rmsNorm?.(x, weight, epsilon);
    return fused === undefined ? finish(x.div(scale())) : new Tensor(x.backend, fused, x.shape, 'f32');
  };
  if (path === undefined) return scope('', whole);
  return scope(path, () => tappedNorm({ centred: () => x, scale, finish, whole }));
}
