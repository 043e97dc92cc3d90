import type { Shape } from '../../tensor/shape.ts';
import type { Draw } from './draw.ts';

/**
 * An array that an op reads.
 * - `activation`: f32, drawn by the distribution that is measured; in the processor's cache, as in a real pass.
 * - `matrix`: a weight, in numbers or in codes; while a token is decoded, each call reads a copy that has left the cache.
 * - `store`: keys or values of a KV cache, f32; out of the cache like a matrix.
 * - `vector`: a gain, angles, a mask: f32, in the cache.
 * - `indices`: whole numbers, i32.
 */
export interface OperandSpec {
  readonly kind: 'activation' | 'matrix' | 'store' | 'vector' | 'indices';
  readonly shape: Shape;
  /** Makes its `count` numbers, row-major. */
  readonly fill: (draw: Draw, count: number) => Float32Array;
  /** Whether its first axis is the rows of the result. */
  readonly rows: boolean;
  /** The hook point that holds this array in a real pass. Default: none; the array is then always drawn. */
  readonly hook?: string | undefined;
  /** Makes the operand from the recorded array. Default: the recorded array itself. */
  readonly fit?: ((recorded: Float32Array) => Float32Array) | undefined;
}
