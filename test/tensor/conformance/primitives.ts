import { describe, expect, it } from 'vitest';
import type { Backend, BinaryOp, ReduceOp, UnaryOp } from '../../../src/tensor/backend.ts';
import type { DType } from '../../../src/tensor/dtype.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { concat, Tensor } from '../../../src/tensor/tensor.ts';
import { at, broadcastAt, build, type F64, map, once, random, softmax, sum } from '../../support/f64-oracle.ts';
import { bothWays, expectClose, tensor, toBf16, TOLERANCE } from './close.ts';

const BINARY: Record<BinaryOp, (x: number, y: number) => number> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  maximum: (x, y) => (x > y ? x : y),
  minimum: (x, y) => (x < y ? x : y),
};

const UNARY: Record<UnaryOp, { f: (x: number) => number; inputs: readonly number[]; tolerance: number }> = {
  square: { f: (x) => x * x, inputs: [0, -3, 0.1, 1e-18, 1e20, -Infinity, NaN], tolerance: TOLERANCE.exact },
  sqrt: { f: Math.sqrt, inputs: [0, 2, 1e-30, 3e38, Infinity, -1], tolerance: TOLERANCE.exact },
  exp: { f: Math.exp, inputs: [0, 1, -1, 80, -80, 0.001, -Infinity], tolerance: TOLERANCE.approximation },
  log: { f: Math.log, inputs: [0, 1, 2, 1e-30, 3e38, Infinity], tolerance: TOLERANCE.approximation },
  sigmoid: {
    f: (x) => 1 / (1 + Math.exp(-x)),
    inputs: [0, 1, -1, 15, -15, 100, -60],
    tolerance: TOLERANCE.approximation,
  },
  tanh: {
    f: (x) => -Math.expm1(-2 * x) / (1 + Math.exp(-2 * x)),
    inputs: [0, 1e-6, 0.3, -1, 5, -9, 40],
    tolerance: TOLERANCE.approximation,
  },
  erf: { f: erf, inputs: [0, 1e-6, -0.3, 1, -2, 3.5, 5, -20], tolerance: TOLERANCE.approximation },
};

/** `2 / sqrt(pi)` times the integral of `e^(-t^2)` from 0 to x, by Simpson's rule. */
function erf(x: number): number {
  const end = Math.max(-8, Math.min(8, x));
  const n = 2000;
  const f = (i: number): number => Math.exp(-(((i * end) / n) ** 2)) * (i === 0 || i === n ? 1 : 2 + 2 * (i % 2));
  return (2 / Math.sqrt(Math.PI)) * (end / n / 3) * sum(n + 1, f);
}

const REDUCE: Record<ReduceOp, (row: readonly number[]) => number> = {
  sum: (row) => row.reduce((a, b) => a + b, 0),
  mean: (row) => row.reduce((a, b) => a + b, 0) / row.length,
  max: (row) => Math.max(...row),
};

const SHAPES = [[], [1], [7], [0, 3], [1, 1, 5], [3, 1, 2], [2, 3, 4, 5]];

// [a, b]: alike, one number against many, rows, columns, both ways at once, other ranks, nothing.
const BROADCASTS = [
  [
    [2, 3],
    [2, 3],
  ],
  [[2, 3], []],
  [[], [2, 3]],
  [[4, 3], [3]],
  [
    [4, 3],
    [4, 1],
  ],
  [
    [4, 1],
    [1, 3],
  ],
  [[3], [2, 4, 1]],
  [
    [2, 1, 3, 1],
    [5, 1, 2],
  ],
  [
    [0, 3],
    [1, 3],
  ],
  [[1], [0]],
  [
    [33, 65],
    [33, 65],
  ],
  [
    [130, 70],
    [130, 70],
  ],
];

// [batch axes, M, K, N]: nothing, one number, one row, one column, odd sizes, one beyond a cache line, batches.
const PRODUCTS: readonly (readonly [batch: readonly number[], M: number, K: number, N: number])[] = [
  [[], 1, 1, 1],
  [[], 1, 7, 3],
  [[], 1, 64, 130],
  [[], 1, 257, 33],
  [[], 2, 3, 5],
  [[], 17, 65, 31],
  [[], 40, 300, 24],
  [[], 5, 8, 1],
  [[], 0, 4, 3],
  [[], 3, 4, 0],
  [[], 3, 0, 4],
  [[3], 1, 5, 2],
  [[1], 4, 5, 3],
  [[2, 3], 4, 5, 6],
  [[2], 0, 5, 3],
];

// [shape, axis, indices]
const GATHERS: readonly (readonly [number[], number, number[]])[] = [
  [[5], 0, [4, 0, 0]],
  [[5, 3], 0, [1]],
  [[5, 3], 1, [2, 0, 1, 2]],
  [[2, 4, 3], -2, [3, 3]],
  [[4, 3], 0, []],
  [[4, 0], 0, [1]],
];

// [shape, axis, sizes]: one row of few numbers and of many, and what is an axis of size 1 but not the last, among them.
const SPLITS: readonly (readonly [number[], number, number[]])[] = [
  [[3], 0, [2, 1]],
  [[4, 3], 0, [1, 3]],
  [[4, 5], 1, [2, 0, 3]],
  [[2, 6, 3], -2, [1, 4, 1]],
  [[2, 3], 1, [3]],
  [[0, 3], 1, [1, 2]],
  [[1, 5], 0, [1, 0]],
  [[1, 5], 1, [3, 2]],
  [[1, 1, 9000], 2, [8500, 500]],
];

// [shape, order of axes], also such that only axes of size 1 move.
const PERMUTATIONS: readonly (readonly [number[], number[]])[] = [
  [[5], [0]],
  [
    [3, 4],
    [1, 0],
  ],
  [
    [2, 3, 4],
    [1, 2, 0],
  ],
  [
    [2, 3, 4],
    [2, 1, 0],
  ],
  [
    [1, 3, 4],
    [1, 0, 2],
  ],
  [
    [3, 1, 4],
    [0, 2, 1],
  ],
  [
    [2, 3, 4, 5],
    [0, 2, 1, 3],
  ],
  [
    [0, 3],
    [1, 0],
  ],
  [[], []],
];

// [shape, asked for, result]
const RESHAPES: readonly (readonly [number[], number[], number[]])[] = [
  [
    [2, 6],
    [3, 4],
    [3, 4],
  ],
  [[2, 6], [-1], [12]],
  [[24], [2, -1, 4], [2, 3, 4]],
  [[1], [], []],
  [
    [0, 3],
    [5, 0],
    [5, 0],
  ],
];

/** Bytes, little-endian, and the numbers that the formats' definitions give for them. */
const STORED: Record<DType, readonly [bytes: readonly number[], values: readonly number[]]> = {
  f32: [
    [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0x80, 0x7f, 1, 0, 0, 0],
    [1, -2, Infinity, 2 ** -149],
  ],
  f16: [
    [0, 0x3c, 0, 0xc0, 0xff, 0x7b, 1, 0, 0, 0xfc, 0, 0x7e],
    [1, -2, 65504, 2 ** -24, -Infinity, NaN],
  ],
  bf16: [
    [0x80, 0x3f, 0x49, 0x40, 0x80, 0xff, 0x80, 0, 0xc0, 0x7f],
    [1, 3.140625, -Infinity, 2 ** -126, NaN],
  ],
  f8_e4m3: [
    [0x38, 0xb8, 0x7e, 0x01, 0x7f],
    [1, -1, 448, 2 ** -9, NaN],
  ],
  f8_e5m2: [
    [0x3c, 0xbc, 0x7b, 0x01, 0x7c],
    [1, -1, 57344, 2 ** -16, Infinity],
  ],
  i32: [
    [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0x80],
    [1, -1, -(2 ** 31)],
  ],
  u8: [
    [0, 1, 255],
    [0, 1, 255],
  ],
};

const CASTS: readonly (readonly [from: DType, to: DType, values: readonly (readonly [number, number])[]])[] = [
  ['f32', 'f32', [[0.1, Math.fround(0.1)]]],
  [
    'f32',
    'bf16',
    [
      [1, 1],
      [1 + 2 ** -8, 1],
      [1 + 3 * 2 ** -8, 1 + 2 ** -6],
      [1 + 2 ** -8 + 2 ** -20, 1 + 2 ** -7],
      [-3.14159, -3.140625],
      [3.4e38, Infinity],
      [2 ** -126, 2 ** -126],
      [-Infinity, -Infinity],
      [NaN, NaN],
    ],
  ],
  [
    'f32',
    'f16',
    [
      [1, 1],
      [1 + 2 ** -11, 1],
      [1 + 3 * 2 ** -11, 1 + 2 ** -9],
      [65519, 65504],
      [65520, Infinity],
      [2 ** -24, 2 ** -24],
      [2 ** -25, 0],
      [1.5 * 2 ** -25, 2 ** -24],
      [-Infinity, -Infinity],
      [NaN, NaN],
    ],
  ],
  [
    'f32',
    'i32',
    [
      [0, 0],
      [1.9, 1],
      [-1.9, -1],
      [16777216, 16777216],
      [-2147483648, -2147483648],
    ],
  ],
  [
    'i32',
    'f32',
    [
      [0, 0],
      [-7, -7],
      [16777217, 16777216],
      [2147483647, 2147483648],
    ],
  ],
];

/** The contract of `backend.ts`, op by op. */
export function primitives(backend: Backend): void {
  const make = (a: F64, made: 'whole' | 'reshaped', dtype?: 'f32' | 'bf16' | 'i32'): Tensor =>
    tensor(backend, a, made, dtype);
  const upload = (bytes: readonly number[], shape: readonly number[], dtype: DType): Tensor => {
    const memory = backend.allocate(bytes.length);
    memory.set(bytes);
    return new Tensor(backend, backend.upload(memory, shape, dtype), shape, dtype);
  };
  const list = (values: readonly number[]): F64 => ({ shape: [values.length], values: Float64Array.from(values) });

  it.each(Object.entries(STORED))('gives back the numbers of %s bytes that were uploaded', (dtype, [bytes, values]) => {
    scope('', () => {
      expectClose(upload(bytes, [values.length], dtype as DType), list(values), TOLERANCE.exact);
      const one = bytes.slice(0, bytes.length / values.length);
      expectClose(upload(one, [], dtype as DType), { ...list(values.slice(0, 1)), shape: [] }, TOLERANCE.exact);
      for (const shape of [[0], [0, 4], [4, 0]])
        expectClose(upload([], shape, dtype as DType), random(shape), TOLERANCE.exact);
    });
  });

  it('takes back memory that was allocated and not used', () => {
    const memory = backend.allocate(100);
    expect(memory.length).toBe(100);
    backend.discard(memory);
    scope('', () => {
      expectClose(upload([1, 2, 3], [3], 'u8'), list([1, 2, 3]), TOLERANCE.exact);
    });
  });

  it('downloads a copy, which may be written to', () => {
    scope('', () => {
      const x = Tensor.from(backend, [1, 2, 3]);
      x.data().fill(9);
      expect([...x.data()]).toEqual([1, 2, 3]);
    });
  });

  it('peek gives the numbers where JavaScript has them, and debuggers show them', () => {
    scope('', () => {
      for (const x of [
        Tensor.from(backend, [1, -2]),
        Tensor.from(backend, [1, -2]).mul([1, 1]),
        Tensor.from(backend, new Float32Array(10_000)).add(1),
      ]) {
        // prettier-ignore
        const peeked = backend.peek(x.handle);
        if (peeked !== undefined) expect(peeked).toEqual(x.data());
        const describe = (x as unknown as Record<symbol, () => string>)[Symbol.for('debug.description')].bind(x);
        expect(describe()).toBe(peeked ? String(x) : `Tensor f32 [${x.shape.join(', ')}] in the memory of ${backend.name}: toString() reads it`); // prettier-ignore
      }
    });
  });

  it.each(CASTS)('casts %s to %s, and rounds once', (from, to, pairs) => {
    bothWays((made) => {
      const inputs = make(list(pairs.map(([input]) => input)), made, from as 'f32');
      expectClose(inputs.cast(to), list(pairs.map(([, expected]) => expected)), TOLERANCE.exact);
      expectClose(make(random([0, 2]), made, from as 'f32').cast(to), random([0, 2]), TOLERANCE.exact);
    });
  });

  describe.each(PRODUCTS)('matmul of the batch %j, M %i, K %i, N %i', (batch, M, K, N) => {
    const a = random([...batch, M, K], 1);
    const b = random([...batch, K, N], 2);
    const transposed = (x: F64): F64 =>
      build([...batch, ...x.shape.slice(-2).reverse()], (i) => at(x, [...i.slice(0, -2), i.at(-1)!, i.at(-2)!]));
    it.each(['f32', 'bf16'] as const)('is the sum of the products in %s, also by columns', (dtype) => {
      const [x, y] = dtype === 'f32' ? [a, b] : [toBf16(a), toBf16(b)];
      const terms = (size: (x: number) => number): F64 =>
        build([...batch, M, N], (i) => {
          const [lead, m, n] = [i.slice(0, -2), i.at(-2)!, i.at(-1)!];
          return sum(K, (k) => size(at(x, [...lead, m, k]) * at(y, [...lead, k, n])));
        });
      const tolerance = dtype === 'f32' ? TOLERANCE.sum : TOLERANCE.bf16;
      const [expected, scale] = once(`matmul ${dtype} ${String(batch)} ${M} ${K} ${N}`, () => [
        terms((term) => term),
        terms(Math.abs),
      ]);
      bothWays((made) => {
        const left = make(x, made, dtype);
        const plain = left.matmul(make(y, made, dtype));
        const byColumns = left.matmul(make(transposed(y), made, dtype), { transposeB: true });
        for (const result of [plain, byColumns]) {
          expect(result.dtype).toBe(dtype);
          expectClose(result, expected, tolerance, scale);
          // Later ops see the product's shape, however the backend computed it.
          const swapped = result.transpose([...batch.keys(), batch.length + 1, batch.length]).cast('f32');
          expectClose(swapped, transposed(expected), tolerance, transposed(scale));
        }
      });
    });
  });

  describe.each(Object.entries(BINARY))('%s', (op, f) => {
    it.each(BROADCASTS)('broadcasts %j with %j as numpy does, and rounds once', (shapeA, shapeB) => {
      const [a, b] = [random(shapeA, 1), random(shapeB, 2)];
      const [longer, shorter] = shapeA.length >= shapeB.length ? [shapeA, shapeB] : [shapeB, shapeA];
      const shape = longer.map((size, i) => (size === 1 ? (shorter.at(i - longer.length) ?? 1) : size));
      const expected = build(shape, (i) => f(broadcastAt(a, i), broadcastAt(b, i)));
      bothWays((made) => {
        expectClose(make(a, made)[op as BinaryOp](make(b, made)), expected, TOLERANCE.exact);
      });
    });

    it('takes a number for an operand', () => {
      bothWays((made) => {
        const a = random([3, 5]);
        expectClose(
          make(a, made)[op as BinaryOp](0.75),
          map(a, (x) => f(x, 0.75)),
          TOLERANCE.exact,
        );
      });
    });
  });

  it.each([8, 9000])('gives the smaller and the larger of %i numbers, and NaN where one is NaN', (count) => {
    scope('', () => {
      const edge = [NaN, 1, -Infinity, Infinity];
      const a = make(
        build([count], ([i]) => edge[i % 4]),
        'whole',
      );
      const b = make(
        build([count], ([i]) => edge[(i >> 2) % 4]),
        'whole',
      );
      expectClose(
        a.minimum(b),
        build([count], ([i]) => Math.min(edge[i % 4], edge[(i >> 2) % 4])),
        TOLERANCE.exact,
      );
      expectClose(
        a.maximum(b),
        build([count], ([i]) => Math.max(edge[i % 4], edge[(i >> 2) % 4])),
        TOLERANCE.exact,
      );
    });
  });

  describe.each(Object.entries(UNARY))('%s', (op, { f, inputs, tolerance }) => {
    it.each([...SHAPES, [130, 70]])('is its function of each number of a tensor %j', (...shape: number[]) => {
      const a = map(random(shape), op === 'sqrt' || op === 'log' ? Math.abs : (x) => x);
      const expected = once(`${op} ${String(shape)}`, () => map(a, f));
      bothWays((made) => {
        expectClose(make(a, made)[op as UnaryOp](), expected, tolerance, op === 'log' ? 1 : expected);
      });
    });

    it('is its function at its edges, such as zero and infinity', () => {
      scope('', () => {
        const a = map(list(inputs), Math.fround);
        expectClose(make(a, 'whole')[op as UnaryOp](), map(a, f), tolerance);
      });
    });
  });

  describe.each(Object.entries(REDUCE))('%s', (op, f) => {
    it.each([[1], [7], [3, 1, 2], [2, 3, 4, 5], [4, 300], [0, 3]])(
      'is taken along each axis of %j, counted from the first or the last',
      (...shape: number[]) => {
        const a = random(shape);
        for (const axis of shape.keys()) {
          if (shape[axis] === 0) continue;
          const row = (i: readonly number[]): number[] =>
            Array.from({ length: shape[axis] }, (_, s) => at(a, i.with(axis, s)));
          const reduced = shape.with(axis, 1);
          const expected = build(reduced, (i) => f(row(i)));
          const scale = build(reduced, (i) => f(row(i).map(Math.abs)));
          bothWays((made) => {
            const tolerance = op === 'max' ? TOLERANCE.exact : TOLERANCE.sum;
            for (const counted of [axis, axis - shape.length]) {
              const kept = make(a, made)[op as ReduceOp](counted, { keepDim: true });
              expectClose(kept, expected, tolerance, scale);
              expect(make(a, made)[op as ReduceOp](counted).shape).toEqual(shape.toSpliced(axis, 1));
            }
          });
        }
      },
    );
  });

  it.each([[[1]], [[7]], [[3, 5]], [[2, 3, 1]], [[4, 2, 300]], [[0, 3]]])(
    'softmax of %j is the exponentials of each row over their sum',
    (shape) => {
      const wide = map(random(shape), (x) => (x > 1.5 && shape.at(-1)! > 1 ? -Infinity : 40 * x));
      const near = random(shape, 2);
      bothWays((made) => {
        // exp of a difference of f32 numbers up to 160 long: the rounding of the difference is part of the result.
        expectClose(make(wide, made).softmax(), softmax(wide), 160 * TOLERANCE.approximation);
        expectClose(make(near, made).softmax(), softmax(near), TOLERANCE.composed);
      });
    },
  );

  describe.each(['f32', 'bf16', 'i32'] as const)('movement of %s', (dtype) => {
    const numbers = (shape: readonly number[], seed?: number): F64 =>
      map(random(shape, seed), (x) => (dtype === 'i32' ? Math.trunc(x * 1000) : Math.trunc(x * 64) / 64));
    const same = (result: Tensor, expected: F64): void => {
      expect(result.dtype).toBe(dtype);
      expectClose(result, expected, TOLERANCE.exact);
    };

    it.each(GATHERS)('gathers the slices of %j along axis %i at %j', (shape, axis, indices) => {
      const a = numbers(shape);
      const target = axis < 0 ? axis + shape.length : axis;
      const expected = build(shape.with(target, indices.length), (i) => at(a, i.with(target, indices[i[target]])));
      bothWays((made) => {
        same(make(a, made, dtype).gather(make(list(indices), made, 'i32').reshape([-1]), axis), expected);
      });
    });

    it.each(SPLITS)(
      'splits %j along axis %i into %j, which slice gives as well and concat joins again',
      (shape, axis, sizes) => {
        const a = numbers(shape);
        const target = axis < 0 ? axis + shape.length : axis;
        bothWays((made) => {
          const whole = make(a, made, dtype);
          let from = 0;
          const parts = whole.split(sizes, axis);
          for (const [p, size] of sizes.entries()) {
            const start = from;
            const expected = build(shape.with(target, size), (i) => at(a, i.with(target, i[target] + start)));
            same(parts[p], expected);
            same(
              whole.slice(
                shape.map((_, i) => (i === target ? start : 0)),
                shape.with(target, size),
              ),
              expected,
            );
            from += size;
          }
          same(concat(parts, axis), a);
          same(concat([whole], axis), a);
        });
      },
    );

    it('slices a box, with -1 for all that is left', () => {
      const a = numbers([4, 5, 6]);
      bothWays((made) => {
        const expected = build([2, 5, 3], ([i, j, k]) => at(a, [i + 1, j, k + 3]));
        same(make(a, made, dtype).slice([1, 0, 3], [2, -1, -1]), expected);
        same(make(a, made, dtype).slice([4, 5, 0], [-1, 0, 2]), numbers([0, 0, 2]));
      });
    });

    it.each(PERMUTATIONS)('transposes %j by %j', (shape, permutation) => {
      const a = numbers(shape);
      const expected = build(
        permutation.map((axis) => shape[axis]),
        (i) =>
          at(
            a,
            shape.map((_, axis) => i[permutation.indexOf(axis)]),
          ),
      );
      bothWays((made) => {
        same(make(a, made, dtype).transpose(permutation), expected);
      });
    });

    it.each(RESHAPES)('reshapes %j to %j in the order of its numbers', (shape, target, expected) => {
      const a = numbers(shape);
      bothWays((made) => {
        const view = scope('', () => make(a, made, dtype).reshape(target));
        same(view, { shape: expected, values: a.values });
        same(view.reshape(shape), a);
      });
    });
  });
}
