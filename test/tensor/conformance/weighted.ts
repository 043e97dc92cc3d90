import { describe, it } from 'vitest';
import type { Backend } from '../../../src/tensor/backend.ts';
import { byteSize } from '../../../src/tensor/dtype.ts';
import { floatFormat } from '../../../src/tensor/formats/float-formats.ts';
import { headResults } from '../../../src/tensor/ops/attention.ts';
import { embedding } from '../../../src/tensor/ops/embedding.ts';
import { type Linear, linear, linears } from '../../../src/tensor/ops/linear.ts';
import { Parameter } from '../../../src/tensor/parameter.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { at, build, type F64, random, sum } from '../../support/f64-oracle.ts';
import { bothWays, expectClose, type Made, tensor, toBf16, TOLERANCE } from './close.ts';

/** The ops that read a dense weight, f32 or bf16, against their formulas. */
export function weighted(backend: Backend): void {
  const make = (a: F64, made: Made, dtype?: 'f32' | 'bf16'): Tensor => tensor(backend, a, made, dtype);
  /** In memory of `allocate`, where the loader puts weights. */
  const loaded = ({ shape, values }: F64, dtype: 'f32' | 'bf16'): Tensor => {
    const bytes = backend.allocate(values.length * byteSize(dtype));
    floatFormat(dtype).encode(Float32Array.from(values), bytes);
    return new Tensor(backend, backend.upload(bytes, shape, dtype), shape, dtype);
  };
  const parameter = (a: F64, made: Made, dtype: 'f32' | 'bf16' = 'f32'): Parameter => {
    const filled = new Parameter('weight', a.shape, dtype);
    filled.fill(made === 'whole' ? loaded(a, dtype) : make(a, made, dtype));
    return filled;
  };

  describe.each([
    [0, 3, 2],
    [1, 7, 5],
    [1, 64, 96],
    [6, 33, 17],
    [1, 257, 3],
  ])('linear from [%i, %i] to %i columns', (T, I, O) => {
    const [x, w, b] = [random([T, I], 1), random([O, I], 2), random([O], 3)];
    const dot = (f: (x: number) => number, [x, w]: readonly F64[], t: number, o: number): number =>
      sum(I, (i) => f(at(x, [t, i]) * at(w, [o, i])));

    it.each([
      ['f32', 'f32'],
      ['bf16', 'bf16'],
      ['bf16', 'f32'],
      ['f32', 'bf16'],
    ] as const)('is the product with weights in %s and sums in %s, whole and in its parts', (weights, compute) => {
      const stored = weights === 'bf16' ? toBf16(w) : w;
      const operands = compute === 'bf16' ? [toBf16(x), toBf16(w)] : [x, stored];
      const product = build([T, O], ([t, o]) => dot((term) => term, operands, t, o));
      const scale = build([T, O], ([t, o]) => dot(Math.abs, operands, t, o) + 2);
      const biased = build([T, O], ([t, o]) => at(product, [t, o]) + at(b, [o]));
      const tolerance = compute === 'bf16' ? TOLERANCE.bf16 : TOLERANCE.sum;
      bothWays((made) => {
        const sizes = [1, O - 1];
        const layer: Linear = { weight: parameter(stored, made, weights), bias: undefined, sizes, compute };
        const withBias = { ...layer, bias: parameter(b, made) };
        expectClose(linear(make(x, made), layer), product, tolerance, scale);
        expectClose(linear(make(x, made), withBias), biased, tolerance, scale);
        const [first, rest] = linears(make(x, made), withBias);
        const part = (a: F64, from: number, size: number): F64 => build([T, size], ([t, o]) => at(a, [t, o + from]));
        expectClose(first, part(biased, 0, 1), tolerance, part(scale, 0, 1));
        expectClose(rest, part(biased, 1, O - 1), tolerance, part(scale, 1, O - 1));
      });
    });
  });

  it.each([
    ['f32', [3, 0, 3]],
    ['bf16', [3, 0, 3]],
    ['f32', []],
    ['bf16', [6]],
  ] as const)('embedding in %s gives the rows of the tokens %j', (dtype, ids) => {
    const table = dtype === 'bf16' ? toBf16(random([7, 5])) : random([7, 5]);
    bothWays((made) => {
      const tokens = Tensor.from(backend, Int32Array.from(ids));
      expectClose(
        embedding(parameter(table, made, dtype), tokens),
        build([ids.length, 5], ([t, i]) => at(table, [ids[t], i])),
        TOLERANCE.exact,
      );
    });
  });

  it.each([
    ['f32', 1],
    ['f32', 4],
    ['bf16', 3],
  ] as const)('headResults in %s of %i tokens takes each head through its own columns', (dtype, T) => {
    const [H, dv, D] = [3, 5, 7];
    const z = random([T, H, dv], 1);
    const w = dtype === 'bf16' ? toBf16(random([D, H * dv], 2)) : random([D, H * dv], 2);
    bothWays((made) => {
      const output: Linear = { weight: parameter(w, made, dtype), bias: undefined, sizes: [D], compute: 'f32' };
      const expected = build([T, H, D], ([t, h, o]) => sum(dv, (i) => at(z, [t, h, i]) * at(w, [o, h * dv + i])));
      expectClose(headResults(make(z, made), output), expected, TOLERANCE.sum, 4 * dv);
    });
  });
}
