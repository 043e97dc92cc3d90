import { describe, expect, it } from 'vitest';
import { einsum, keep, liveTensors, scope, stack, Tensor, where } from '../../src/index.ts';
import { BACKENDS, expectNothingLeft } from '../support/tested-backends.ts';

describe.each(BACKENDS)('on %s,', (_, create) => {
  const backend = create();
  expectNothingLeft(() => backend);

  it('nested arrays become tensors and come back', () => {
    scope('', () => {
      const nested = [
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        [
          [7, 8, 9],
          [10, 11, -12.5],
        ],
      ];
      const x = Tensor.from(backend, nested);
      expect(x.shape).toEqual([2, 2, 3]);
      expect(x.toArray()).toEqual(nested);
      expect(Tensor.from(backend, [Float32Array.of(1, 2), Float32Array.of(3, 4)]).toArray()).toEqual([
        [1, 2],
        [3, 4],
      ]);
      expect(Tensor.from(backend, [[], []]).toArray()).toEqual([[], []]);
      expect(Tensor.from(backend, [7], []).toArray()).toBe(7);
      const ids = x.newTensor(Int32Array.of(2 ** 24 + 1, -3), [2, 1]);
      expect([ids.dtype, ids.toArray()]).toEqual(['i32', [[2 ** 24 + 1], [-3]]]);
    });
  });

  it('item gives the number of a tensor that holds one', () => {
    scope('', () => {
      const x = Tensor.from(backend, [[1.5, 2.5]]);
      expect(x.at(0, -1).item()).toBe(2.5);
      expect(x.sum(0, { keepDim: true }).at(':', ':1').item()).toBe(1.5);
      expect(x.newTensor(Int32Array.of(2 ** 24 + 1)).item()).toBe(2 ** 24 + 1);
    });
  });

  it('a loop goes through the tensors along the first axis', () => {
    scope('', () => {
      const x = Tensor.from(backend, [
        [1, 2],
        [3, 4],
        [5, 6],
      ]);
      expect([...x].map((row) => row.toArray())).toEqual([
        [1, 2],
        [3, 4],
        [5, 6],
      ]);
      expect(Array.from(x.at(1), (number) => number.item())).toEqual([3, 4]);
      const [first, , third] = x;
      expect([first.shape, third.toArray()]).toEqual([[2], [5, 6]]);
    });
  });

  it('bf16 numbers and integers are indexed, taken, ordered and compared as they are', () => {
    scope('', () => {
      const narrow = Tensor.from(backend, [[1, -2, 3]]).cast('bf16');
      const parts = [narrow.at(0, '::-1'), narrow.gather([-1, 0], 1), narrow.squeeze(), narrow.topk(2).values];
      expect(parts.map(({ dtype }) => dtype)).toEqual(['bf16', 'bf16', 'bf16', 'bf16']);
      expect(parts.map((part) => [...part.data()])).toEqual([[3, -2, 1], [3, 1], [1, -2, 3], [3, 1]]); // prettier-ignore
      const ids = Tensor.from(backend, Int32Array.of(5, 2 ** 24 + 1, 2 ** 24));
      expect(ids.argmax().item()).toBe(1);
      expect([...ids.equal(2 ** 24).data()]).toEqual([0, 0, 1]);
      expect([...ids.topk(1).values.integers()]).toEqual([2 ** 24 + 1]);
      expect([...Tensor.from(backend, [0.1, 0.2]).equal(0.1).data()]).toEqual([1, 0]); // As numpy compares f32 with 0.1.
    });
  });

  it('NaN counts as the largest, as in PyTorch, and comes last when sorted', () => {
    scope('', () => {
      const x = Tensor.from(backend, [1, NaN, Infinity, -1]);
      expect(x.topk(2).indices.toArray()).toEqual([1, 2]);
      expect(x.sort().toArray()).toEqual([-1, 1, Infinity, NaN]);
      expect(x.argsort(0, { descending: true }).toArray()).toEqual([1, 2, 0, 3]);
    });
  });

  it('products of bf16 broadcast too', () => {
    scope('', () => {
      const x = Tensor.from(backend, [[1, 2]]).cast('bf16');
      const y = Tensor.from(backend, [[[1], [2]], [[3], [4]]]).cast('bf16'); // prettier-ignore
      const product = x.matmul(y);
      expect([product.dtype, product.shape, [...product.data()]]).toEqual(['bf16', [2, 1, 1], [5, 11]]);
    });
  });

  it.each<[string, (x: Tensor) => Tensor | Tensor[]]>([
    ['at', (x) => x.at(0, '::2')],
    ['gather', (x) => x.gather([0, -1], 1)],
    ['arithmetic with arrays', (x) => x.add([1, 2, 3])],
    ['sum', (x) => x.sum()],
    ['sums of several axes', (x) => x.sum([0, 1])],
    ['min', (x) => x.min(0)],
    ['var', (x) => x.var()],
    ['std', (x) => x.std(0)],
    ['norm', (x) => x.norm(1, { ord: 1 })],
    ['abs', (x) => x.abs()],
    ['pow', (x) => x.pow(-3)],
    ['softmax', (x) => x.softmax(0)],
    ['logSoftmax', (x) => x.logSoftmax()],
    ['cumsum', (x) => x.cumsum(1)],
    ['greater', (x) => x.greater([[0], [1]])],
    [
      'topk',
      (x) => {
        const { values, indices } = x.topk(2);
        return [values, indices];
      },
    ],
    ['sort', (x) => x.sort()],
    ['argmax', (x) => x.argmax(0)],
    ['matmul', (x) => x.matmul(x, { transposeB: true })],
    ['broadcastTo', (x) => x.broadcastTo([4, 2, 3])],
    ['stack', (x) => stack([x, x])],
    ['where', (x) => where(x, [1, 2, 3], 0)],
    ['einsum', (x) => einsum('ij,kj->ik', x, x)],
  ])('%s leaves nothing but its result', (_, use) => {
    const x = scope('', () => keep(Tensor.from(backend, [[1, 2, 3], [4, 5, 6]]))); // prettier-ignore
    const before = liveTensors();
    const made = [use(x)].flat();
    expect(liveTensors() - before).toBe(made.length);
    for (const tensor of made) tensor.dispose();
    x.dispose();
  });
});
