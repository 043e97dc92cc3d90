import { checkArgument } from '../../options.ts';
import { scope } from '../scope.ts';
import { broadcastShapes } from '../shape.ts';
import { concat, OPERAND, Tensor, TENSOR, type TensorLike } from '../tensor.ts';

/**
 * The numbers of `a` where `condition` is not 0, and those of `b` elsewhere, with numpy's broadcasting. Numbers are copied,
 * not computed: a NaN or an Infinity that is not chosen leaves no trace. The condition is read on the host.
 *
 * @throws {ShapeError} for shapes that do not broadcast, and for two dtypes.
 */
export function where(condition: Tensor, a: TensorLike, b: TensorLike): Tensor {
  checkArgument('where', 'the condition', condition, TENSOR);
  checkArgument('where', 'the first choice', a, OPERAND);
  checkArgument('where', 'the second choice', b, OPERAND);
  const tensorOf = (x: TensorLike): Tensor =>
    x instanceof Tensor ? x : typeof x === 'number' ? condition.newTensor([x], []) : condition.newTensor(x);
  return scope('', () => {
    const [left, right] = [tensorOf(a), tensorOf(b)];
    const shape = broadcastShapes('where', condition.shape, broadcastShapes('where', left.shape, right.shape));
    const all = concat([left, right].map((x) => x.broadcastTo(shape).reshape([-1]))); // Those of `a`, then those of `b`.
    const holds = condition.broadcastTo(shape).integers();
    const chosen = Int32Array.from(holds, (flag, i) => (flag === 0 ? holds.length + i : i));
    return all.gather(chosen).reshape(shape);
  });
}
