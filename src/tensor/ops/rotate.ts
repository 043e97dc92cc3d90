import { ShapeError } from '../../errors.ts';
import { scope } from '../scope.ts';
import { sameShape, show } from '../shape.ts';
import { kernelsFor } from '../tape.ts';
import { concat, Tensor } from '../tensor.ts';

/** Cosines and sines of the angles of rotary embedding (Su et al., 2021), `[T, R/2]` f32 each: one row per token of a pass. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Rotates the first R numbers of each head in the half-split layout, where `x[i]` pairs with `x[i + R/2]`; the other
 * numbers pass through. `[T, H, d]` to `[T, H, d]`, f32.
 *
 * @throws {ShapeError} when the angles do not fit `x`.
 */
export function rotate(x: Tensor, { cos, sin }: Rotation): Tensor {
  const [rows, , width] = x.shape;
  const half = cos.shape[1];
  if (
    x.shape.length !== 3 ||
    !sameShape(cos.shape, sin.shape) ||
    !sameShape(cos.shape, [rows, half]) ||
    2 * half > width
  )
    throw new ShapeError(
      `rotate: expected angles [T, up to d / 2] for ${show(x.shape)}, got ${show(cos.shape)} and ${show(sin.shape)}.`,
    );
  const fused = kernelsFor(x.backend, x).rotate?.(x, cos, sin);
  if (fused !== undefined) return new Tensor(x.backend, fused, x.shape, 'f32');
  return scope('', () => {
    const [a, b, rest] = x.split([half, half, width - 2 * half]); //     [T, H, R/2] twice, [T, H, d - R]
    const c = cos.reshape([rows, 1, half]);
    const s = sin.reshape([rows, 1, half]);
    const rotated = [a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))]; // [T, H, R/2] twice
    return concat(width > 2 * half ? [...rotated, rest] : rotated, 2);
  });
}
