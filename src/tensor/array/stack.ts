import { checkArgument } from '../../options.ts';
import { scope } from '../scope.ts';
import { concat, type Tensor, TENSORS } from '../tensor.ts';

/**
 * Lays tensors of one shape side by side along a new axis, which is axis `axis` of the result.
 *
 * @throws {ShapeError} when they differ in shape, dtype or backend, or when there are none.
 */
export function stack(parts: readonly Tensor[], axis = 0): Tensor {
  checkArgument('stack', 'parts', parts, TENSORS);
  return scope('', () =>
    concat(
      parts.map((part) => part.unsqueeze(axis)),
      axis,
    ),
  );
}
