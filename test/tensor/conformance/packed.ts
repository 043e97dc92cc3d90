import { describe, expect, it } from 'vitest';
import type { Backend } from '../../../src/tensor/backend.ts';
import { GradientTape } from '../../../src/tensor/gradients/gradient-tape.ts';
import { fp8Blocks } from '../../../src/tensor/formats/fp8-blocks.ts';
import { mxfp4 } from '../../../src/tensor/formats/mxfp4.ts';
import type { PackedMatrix } from '../../../src/tensor/formats/packed-format.ts';
import { headResults } from '../../../src/tensor/ops/attention.ts';
import { linear, linears, type Linear } from '../../../src/tensor/ops/linear.ts';
import { PackedParameter } from '../../../src/tensor/packed-parameter.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { at, build, type F64, once, random, sum } from '../../support/f64-oracle.ts';
import { bothWays, expectClose, tensor, TOLERANCE } from './close.ts';

/** E2M1 by its definition: 1 sign, 2 exponent bits of bias 1, 1 mantissa bit. */
function e2m1(code: number): number {
  const exponent = (code >> 1) & 3;
  const magnitude = exponent === 0 ? (code & 1) / 2 : (1 + (code & 1) / 2) * 2 ** (exponent - 1);
  return code & 8 ? -magnitude : magnitude;
}

/** E4M3 by its definition: 1 sign, 4 exponent bits of bias 7, 3 mantissa bits. */
function e4m3(code: number): number {
  const exponent = (code >> 3) & 15;
  const magnitude = exponent === 0 ? (code & 7) / 512 : (1 + (code & 7) / 8) * 2 ** (exponent - 7);
  return code & 128 ? -magnitude : magnitude;
}

const byte = (i: number): number => Math.imul(i + 1, 0x9e3779b1) >>> 24;

interface Case {
  readonly matrix: PackedMatrix;
  /** Rows of the matrices that are joined in it. */
  readonly sizes: readonly number[];
  /** What it stands for. */
  readonly numbers: F64;
}

/** `flipped`: the last row has the factors of the first one, as rows that were put in another order have. */
interface Options {
  readonly flipped?: boolean;
  readonly e8m0?: boolean;
}

/** Random nibbles, `[rows, columns]`, with factors from 2^-6 to 2. */
function mxfp4Case(sizes: readonly number[], columns: number, { flipped = false }: Options = {}): Case {
  const rows = sizes.reduce((a, b) => a + b, 0);
  const codes = new Uint8Array((rows * columns) / 2);
  codes.forEach((_, i) => (codes[i] = byte(i)));
  const scales = new Uint8Array((rows * columns) / 32);
  scales.forEach((_, i) => (scales[i] = 121 + (byte(7 * i) & 7)));
  const numbers = build([rows, columns], ([r, c]) => {
    const pair = codes[(r * columns + c) >> 1];
    const factor = 2 ** (scales[(flipped ? rows - 1 - r : r) * (columns / 32) + (c >> 5)] - 127);
    return e2m1(c % 2 === 0 ? pair % 16 : pair >> 4) * factor;
  });
  const blockRow = Int32Array.from({ length: rows }, (_, r) => (flipped ? rows - 1 - r : r));
  return { matrix: { format: mxfp4, blockRow, columns, codes, scales }, sizes, numbers };
}

/** Random codes but NaN; joined matrices begin their blocks anew. */
function fp8Case(sizes: readonly number[], columns: number, options: Options = {}): Case {
  const { flipped = false, e8m0 = false } = options;
  const rows = sizes.reduce((a, b) => a + b, 0);
  const codes = new Uint8Array(rows * columns);
  codes.forEach((_, i) => (codes[i] = byte(i) % 128 === 127 ? 0 : byte(i)));
  const across = Math.ceil(columns / 128);
  const starts = sizes.map((_, part) => sum(part, (p) => Math.ceil(sizes[p] / 128)));
  const count = across * sum(sizes.length, (p) => Math.ceil(sizes[p] / 128));
  const scales = e8m0
    ? Uint8Array.from({ length: count }, (_, i) => 120 + (i % 5))
    : Float32Array.from({ length: count }, (_, i) => (i + 1) / 300);
  const blockRow = Int32Array.from({ length: rows }, (_, r) => {
    let row = flipped ? rows - 1 - r : r;
    let part = 0;
    while (row >= sizes[part]) row -= sizes[part++];
    return starts[part] + Math.floor(row / 128);
  });
  const numbers = build([rows, columns], ([r, c]) => {
    const scale = scales[blockRow[r] * across + Math.floor(c / 128)];
    return Math.fround(e4m3(codes[r * columns + c]) * (e8m0 ? 2 ** (scale - 127) : scale));
  });
  return { matrix: { format: fp8Blocks, blockRow, columns, codes, scales }, sizes, numbers };
}

// One block and less, ragged ends, joined matrices that end within a block, more rows than are decoded at a time.
const CASES: readonly (readonly [string, () => Case])[] = [
  ['mxfp4 [1, 32]', () => mxfp4Case([1], 32)],
  ['mxfp4 [7, 96]', () => mxfp4Case([3, 4], 96)],
  ['mxfp4 [5, 64], rows in another order', () => mxfp4Case([5], 64, { flipped: true })],
  ['fp8 [3, 5]', () => fp8Case([3], 5)],
  ['fp8 [128, 256]', () => fp8Case([128], 256)],
  ['fp8 [576, 160]', () => fp8Case([576], 160)],
  ['fp8 of 136 and 136 rows', () => fp8Case([136, 136], 160)],
  ['fp8 [300, 130], rows in another order', () => fp8Case([300], 130, { flipped: true })],
  ['fp8 of 1, 130 and 129 rows, E8M0', () => fp8Case([1, 130, 129], 260, { e8m0: true })],
];

/** So large that a backend may take another way; plain loops have one for all sizes. */
const LARGE_CASES: readonly (readonly [string, () => Case])[] = [
  ['mxfp4 [1100, 1024]', () => mxfp4Case([550, 550], 1024)],
  ['fp8 [700, 2048]', () => fp8Case([700], 2048)],
];

/** Weights that stay in blocks, against the definitions of their formats; `isOracle`: on plain loops. */
export function packed(backend: Backend, { isOracle = false }: { isOracle?: boolean } = {}): void {
  /** Once more for each test: what a backend takes over, it also gives back. */
  const fill = (weight: PackedParameter, matrix: PackedMatrix): void => {
    const codes = backend.allocate(matrix.codes.length);
    codes.set(matrix.codes);
    weight.fill(backend, { ...matrix, codes });
  };

  describe.each(isOracle ? CASES : [...CASES, ...LARGE_CASES])('%s', (name, create) => {
    const { matrix, sizes, numbers } = once(name, create);
    const [N, K] = numbers.shape;
    const input = random([3, K], 1);
    const ofTerms = (size: (x: number) => number): F64 =>
      build([3, N], ([m, n]) => sum(K, (k) => size(input.values[m * K + k] * numbers.values[n * K + k])));
    const firstRows = ({ shape: [, width], values }: F64, M: number): F64 => ({
      shape: [M, width],
      values: values.subarray(0, M * width),
    });

    it('decodes to the numbers of its format', () => {
      scope('', () => {
        using weight = new PackedParameter('weight', matrix);
        fill(weight, matrix);
        expectClose(weight.dense(), numbers, TOLERANCE.exact);
      });
    });

    it.each([
      [1, 'f32'],
      [1, 'bf16'],
      [3, 'f32'],
      [3, 'bf16'],
    ] as const)('is multiplied with %i rows in %s as its numbers are', (M, compute) => {
      const x = firstRows(input, M);
      const product = firstRows(
        once(`${name}: product`, () => ofTerms((term) => term)),
        M,
      );
      const scale = firstRows(
        once(`${name}: scale`, () => ofTerms(Math.abs)),
        M,
      );
      // Both operands and the result may be rounded, or none.
      const tolerance = compute === 'bf16' ? 3 * TOLERANCE.bf16 : TOLERANCE.sum;
      using weight = new PackedParameter('weight', matrix);
      fill(weight, matrix);
      const layer: Linear = { weight, bias: undefined, sizes, compute };
      bothWays((made) => {
        expectClose(linear(tensor(backend, x, made), layer), product, tolerance, scale);
        const parts = linears(tensor(backend, x, made), layer);
        expect(parts.map(({ shape }) => shape[1])).toEqual(sizes);
      });
    });

    it.each([1, 3])('the gradient of %i rows is that of the product times the numbers', (M) => {
      const g = random([M, N], 2);
      const terms = (size: (x: number) => number): F64 =>
        build([M, K], ([m, k]) => sum(N, (n) => size(g.values[m * N + n] * numbers.values[n * K + k])));
      const expected = once(`${name}: gradient of ${M}`, () => terms((term) => term));
      const scale = once(`${name}: scale of the gradient of ${M}`, () => terms(Math.abs));
      using weight = new PackedParameter('weight', matrix);
      fill(weight, matrix);
      bothWays((made) => {
        using tape = new GradientTape();
        const x = tape.watch(tensor(backend, firstRows(input, M), made));
        const weights = tensor(backend, g, made);
        const value = tape.run(() =>
          linear(x, { weight, bias: undefined, sizes, compute: 'f32' }).mul(weights).reshape([-1]).sum(),
        );
        tape.takeBack(value);
        expectClose(tape.gradient(x), expected, 3 * TOLERANCE.sum, scale);
      });
    });
  });

  it('give the result of each head through the columns of a packed output', () => {
    const { matrix, numbers } = mxfp4Case([5], 64);
    using weight = new PackedParameter('weight', matrix);
    fill(weight, matrix);
    const z = random([2, 4, 16], 3);
    bothWays((made) => {
      const output: Linear = { weight, bias: undefined, sizes: [5], compute: 'bf16' };
      const expected = build([2, 4, 5], ([t, h, o]) => sum(16, (i) => at(z, [t, h, i]) * at(numbers, [o, h * 16 + i])));
      expectClose(headResults(tensor(backend, z, made), output), expected, TOLERANCE.sum, 60);
    });
  });
}
