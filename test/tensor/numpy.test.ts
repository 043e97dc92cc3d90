import { readFileSync } from 'node:fs';
import { compileFunction } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { concat, einsum, scope, stack, Tensor, where } from '../../src/index.ts';
import { BACKENDS, expectNothingLeft } from '../support/tested-backends.ts';

/** What numpy-cases.py wrote; numbers that JSON does not have are strings. */
interface Numbers {
  readonly dtype: 'f32' | 'i32';
  readonly shape: number[];
  readonly values: (number | string)[];
}
interface Case {
  readonly ours: string;
  readonly numpy: string;
  readonly tolerance: 'exact' | 'close';
  readonly result: Numbers;
}
const file = new URL('../fixtures/tensor/numpy-cases.json', import.meta.url);
const { inputs, cases } = JSON.parse(readFileSync(file, 'utf8')) as {
  inputs: Record<string, Numbers>;
  cases: Case[];
};

/** f32 sums of up to 120 numbers of size 1, exp and log: a part of the largest number of the result, or of 1. */
const CLOSE = 3e-6;

describe.each(BACKENDS)('on %s,', (_, create) => {
  const backend = create();
  expectNothingLeft(() => backend);

  it.each(cases)('$ours is $numpy', ({ ours, tolerance, result }) => {
    scope('', () => {
      const tensors = Object.entries(inputs).map(([name, input]) => [name, tensorOf(input)] as const);
      const values = { concat, einsum, stack, where, ...Object.fromEntries(tensors) };
      const run = compileFunction(`return ${ours};`, Object.keys(values)) as (...given: unknown[]) => Tensor;
      expectEqual(run(...Object.values(values)), result, tolerance);
    });
  });

  const tensorOf = ({ dtype, shape, values }: Numbers): Tensor => {
    const numbers = values.map(Number);
    return Tensor.from(backend, dtype === 'i32' ? Int32Array.from(numbers) : numbers, shape);
  };
});

function expectEqual(actual: Tensor, { dtype, shape, values }: Numbers, tolerance: Case['tolerance']): void {
  expect(actual.dtype).toBe(dtype);
  expect(actual.shape).toEqual(shape);
  const got = [...actual.integers()];
  const expected = values.map((value) => Math.fround(Number(value)));
  const scale = Math.max(1, ...expected.filter(Number.isFinite).map(Math.abs));
  expected.forEach((value, i) => {
    const allowed = tolerance === 'exact' || !Number.isFinite(value) ? 0 : CLOSE * scale;
    const isRight = Object.is(got[i], value) || Math.abs(got[i] - value) <= allowed;
    if (!isRight) expect.fail(`[${i}] of [${shape.join(', ')}]: expected ${value} within ${allowed}, got ${got[i]}`);
  });
}
