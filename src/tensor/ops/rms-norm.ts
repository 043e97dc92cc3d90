import { ShapeError } from '../errors.ts';
import { scope, tap, watched } from '../scope.ts';
import { sameShape, show } from '../shape.ts';
import { Tensor } from '../tensor.ts';

/**
 * Root mean square norm over the last axis: `x / sqrt(mean(x^2) + epsilon) * weight` (Zhang and Sennrich, 2019), f32.
 *
 * @param name Prefix of its taps: `hook_scale` `[..., 1]`, what x is divided by, and `hook_normalized`, before the weight.
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number, name: string): Tensor {
  if (!sameShape(weight.shape, x.shape.slice(-1)))
    throw new ShapeError(`rmsNorm: expected a weight as wide as ${show(x.shape)}, got ${show(weight.shape)}.`);
  return scope(name, () => {
    if (!watched('hook_scale') && !watched('hook_normalized')) return normalize(x, weight, epsilon);
    const scale = scaleOf(x, epsilon);
    const usedScale = tap('hook_scale', scale);
    const normalized = x.div(usedScale);
    const usedNormalized = tap('hook_normalized', normalized);
    // Being watched must not change a bit: only an edit leaves the usual kernel.
    const edited = usedScale !== scale || usedNormalized !== normalized;
    return edited ? usedNormalized.mul(weight) : normalize(x, weight, epsilon);
  });
}

function normalize(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const fused = x.backend.fused.rmsNorm?.(x, weight, epsilon);
  return fused === undefined ? x.div(scaleOf(x, epsilon)).mul(weight) : new Tensor(x.backend, fused, x.shape, 'f32');
}

const scaleOf = (x: Tensor, epsilon: number): Tensor => x.square().mean().add(epsilon).sqrt();
