import type { Parameter } from '../parameter.ts';
import { scope } from '../scope.ts';
import type { Tensor } from '../tensor.ts';

/** The rows of a table `[V, D]` at the token ids `[T]`, i32: `[T, D]`, f32. */
export function embedding(table: Parameter, tokens: Tensor): Tensor {
  return scope('', () => table.tensor.gather(tokens).cast('f32'));
}
