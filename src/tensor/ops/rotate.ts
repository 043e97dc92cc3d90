import { ShapeError } from '../../errors.ts';
import { scope } from '../scope.ts';
import { sameShape, show } from '../shape.ts';
import { concat, Tensor } from '../tensor.ts';

/** The angles of rotary embedding (Su et al., 2021) for the rows of one forward: `[T, R/2]` f32 each. */
export interface Rotation {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Rotates the first R numbers of each head, half-split: `x[i]` pairs with `x[i + R/2]`; the rest passes through.
 * `[T, H, d]` to `[T, H, d]`.
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
  const fused = x.backend.fused.rotate?.(x, cos, sin);
  if (fused !== undefined) return new Tensor(x.backend, fused, x.shape, 'f32');
  return scope('', () => {
    const [a, b, rest] = x.split([half, half, width - 2 * half]); //     [T, H, R/2] twice, [T, H, d - R]
    const c = cos.reshape([rows, 1, half]);
    const s = sin.reshape([rows, 1, half]);
    const rotated = [a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))]; // [T, H, R/2] twice
    return concat(width > 2 * half ? [...rotated, rest] : rotated, 2);
  });
}
