import type { Parameter } from '../parameter.ts';
import { scope } from '../scope.ts';
import { Tensor } from '../tensor.ts';

/**
 * The rows of a table `[V, D]` at the token ids `[T]`, i32: `[T, D]`, f32. Ids are checked where they come in, and not read
 * back here, for which a GPU would have to end what it does.
 */
export function embedding(table: Parameter, tokens: Tensor): Tensor {
  const { tensor } = table;
  const { backend, shape, dtype } = tensor;
  return scope('', () =>
    new Tensor(backend, backend.gather(tensor, tokens, 0), [tokens.shape[0], shape[1]], dtype).cast('f32'),
  );
}
