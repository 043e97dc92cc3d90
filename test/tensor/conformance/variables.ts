import { expect, it } from 'vitest';
import type { Backend } from '../../../src/tensor/backend.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { Variable } from '../../../src/tensor/variable.ts';
import { at, build, type F64, random, sum } from '../../support/f64-oracle.ts';
import { bothWays, expectClose, type Made, tensor, TOLERANCE } from './close.ts';

/** Memory that is written in boxes and read whole, as a cache is. */
export function variables(backend: Backend): void {
  const make = (a: F64, made: Made): Tensor => tensor(backend, a, made);

  it('are zero at first, are written box by box, and are read whole', () => {
    bothWays((made) => {
      const variable = new Variable(backend, [2, 5, 3]);
      const contents = build([2, 5, 3], () => 0);
      expectClose(
        scope('', () => variable.read().mul(1)),
        contents,
        TOLERANCE.exact,
      );
      const boxes = [
        [
          [0, 0, 0],
          [2, 2, 3],
        ],
        [
          [0, 1, 0],
          [2, 1, 3],
        ],
        [
          [1, 4, 2],
          [1, 1, 1],
        ],
        [
          [0, 3, 0],
          [2, 0, 3],
        ],
      ];
      for (const [n, [begin, size]] of boxes.entries()) {
        const box = random(size, n + 5);
        variable.write(begin, make(box, made));
        build(
          size,
          (i) => (contents.values[(i[0] + begin[0]) * 15 + (i[1] + begin[1]) * 3 + i[2] + begin[2]] = at(box, i)),
        );
        expectClose(variable.read(), contents, TOLERANCE.exact);
        expectClose(variable.read().reshape([2, 15]), { ...contents, shape: [2, 15] }, TOLERANCE.exact);
      }
      variable.dispose();
      new Variable(backend, [2, 0, 3]).dispose();
    });
  });

  // [K, slots, d] times rows of queries, as attention reads a cache: few rows and many; d on a 64-byte border and off it.
  it.each([
    [1, 16],
    [5, 16],
    [16, 5],
    [17, 16],
    [3, 3],
  ])('are multiplied with %i rows where they are %i wide', (rows, d) => {
    const [stored, q, weights] = [random([2, 4, d], 1), random([2, rows, d], 2), random([2, rows, 4], 3)];
    const dots = (size: (x: number) => number): F64 =>
      build([2, rows, 4], ([k, r, s]) => sum(d, (i) => size(at(q, [k, r, i]) * at(stored, [k, s, i]))));
    const mixed = (size: (x: number) => number): F64 =>
      build([2, rows, d], ([k, r, i]) => sum(4, (s) => size(at(weights, [k, r, s]) * at(stored, [k, s, i]))));
    const rejoined = random([1, rows, 8], 4);
    const all = build([1, rows, d], ([, r, i]) => sum(8, (s) => at(rejoined, [0, r, s]) * stored.values[s * d + i]));
    bothWays((made) => {
      const variable = new Variable(backend, [2, 4, d]);
      variable.write([0, 0, 0], make(stored, made));
      const contents = variable.read();
      expectClose(
        make(q, made).matmul(contents, { transposeB: true }),
        dots((x) => x),
        TOLERANCE.sum,
        dots(Math.abs),
      );
      expectClose(
        make(weights, made).matmul(contents),
        mixed((x) => x),
        TOLERANCE.sum,
        mixed(Math.abs),
      );
      expectClose(make(rejoined, made).matmul(contents.reshape([1, 8, d])), all, TOLERANCE.sum, 32);
      variable.dispose();
    });
  });

  it('leave what was read of them when they are freed', () => {
    const variable = new Variable(backend, [3]);
    scope('', () => {
      variable.write([0], Tensor.from(backend, [1, 2, 3]));
      const contents = variable.read();
      variable.dispose();
      expect([...contents.data()]).toEqual([1, 2, 3]);
    });
  });
}
