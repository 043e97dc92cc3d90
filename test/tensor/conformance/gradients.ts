import { expect, it } from 'vitest';
import type { Backend } from '../../../src/tensor/backend.ts';
import { createBackend } from '../../../src/tensor/backends.ts';
import { GradientTape } from '../../../src/tensor/gradients/gradient-tape.ts';
import { RULES } from '../../../src/tensor/gradients/rules.ts';
import { type Activation, activate, gated } from '../../../src/tensor/ops/activation.ts';
import { attention, type AttentionOptions, headResults } from '../../../src/tensor/ops/attention.ts';
import { clampedSwiglu } from '../../../src/tensor/ops/clamped-swiglu.ts';
import { experts } from '../../../src/tensor/ops/experts.ts';
import { headLinear } from '../../../src/tensor/ops/head-linear.ts';
import { layerNorm } from '../../../src/tensor/ops/layer-norm.ts';
import { linear, type Linear } from '../../../src/tensor/ops/linear.ts';
import { rmsNorm } from '../../../src/tensor/ops/rms-norm.ts';
import { rotate } from '../../../src/tensor/ops/rotate.ts';
import { swiglu } from '../../../src/tensor/ops/swiglu.ts';
import { scatterColumns, takeColumns, takeScattered } from '../../../src/tensor/ops/top-k.ts';
import { Parameter } from '../../../src/tensor/parameter.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { onTape, type TapedOp } from '../../../src/tensor/tape.ts';
import { observe } from '../../../src/tensor/tap.ts';
import { concat, Tensor } from '../../../src/tensor/tensor.ts';
import { Variable } from '../../../src/tensor/variable.ts';
import { build, type F64, map, once, random, sum } from '../../support/f64-oracle.ts';

/** An op of watched operands, all of one backend. */
type Op = (...x: Tensor[]) => Tensor;

/** A slope in f64 by a difference of `2 * STEP` is good to about this part of the sum of its terms' sizes. */
const SLOPE = 1e-6;
const STEP = 1e-6;
/** A gradient in f32 is good to this part of its largest number. */
const SINGLE = 2e-5;

const positive = (a: F64): F64 => map(a, (x) => Math.abs(x) + 0.1);

/** Each primitive, the operands apart from kinks, with broadcasting, axes and orders of every kind. */
const PRIMITIVES: readonly (readonly [name: string, op: Op, operands: readonly F64[]])[] = [
  ...(['square', 'exp', 'sigmoid', 'tanh', 'erf'] as const).map(
    (op) => [op, (x: Tensor) => x[op](), [random([3, 4], 1)]] as const,
  ),
  ...(['sqrt', 'log'] as const).map((op) => [op, (x: Tensor) => x[op](), [positive(random([3, 4], 1))]] as const),
  ...(['add', 'sub', 'mul', 'div', 'maximum', 'minimum'] as const).flatMap(
    (op) =>
    [
      [[3, 4], [3, 4]],
      [[3, 4], []],
      [[], [2, 3]],
      [[4, 1], [1, 3]],
      [[3], [2, 4, 1]],
      [[2, 1, 3, 1], [5, 1, 2]],
    ].map(([a, b]) => [`${op} ${JSON.stringify(a)} ${JSON.stringify(b)}`, (x: Tensor, y: Tensor) => x[op](y), [random(a, 1), positive(random(b, 2))]] as const), // prettier-ignore
  ),
  ['an operand with itself', (x) => x.mul(x).add(x), [random([3, 4], 1)]],
  ['a number', (x) => x.mul(0.3).maximum(0.1), [random([3, 4], 1)]],
  ...(['sum', 'mean', 'max'] as const).flatMap((op) =>
    [0, 1, -1].map((axis) => [`${op} over ${axis}`, (x: Tensor) => x[op](axis), [random([2, 3, 4], 1)]] as const),
  ),
  ['softmax', (x) => x.softmax(), [random([2, 3, 5], 1)]],
  ...[[], [2], [2, 3]].flatMap((batch) => [
    [`matmul ${JSON.stringify(batch)}`, (a: Tensor, b: Tensor) => a.matmul(b), [random([...batch, 3, 4], 1), random([...batch, 4, 5], 2)]] as const, // prettier-ignore
    [`matmul ${JSON.stringify(batch)} transposed`, (a: Tensor, b: Tensor) => a.matmul(b, { transposeB: true }), [random([...batch, 3, 4], 1), random([...batch, 5, 4], 2)]] as const, // prettier-ignore
  ]),
  ['reshape', (x) => x.reshape([4, -1]), [random([2, 3, 4], 1)]],
  ['clone', (x) => x.clone().square(), [random([2, 3], 1)]],
  ...[[1, 0], [0, 1]].map((order) => [`transpose ${JSON.stringify(order)}`, (x: Tensor) => x.transpose(order), [random([3, 4], 1)]] as const), // prettier-ignore
  ['transpose of four axes', (x) => x.transpose([2, 0, 3, 1]), [random([2, 3, 4, 5], 1)]],
  ['transpose of axes of size 1', (x) => x.transpose([1, 0, 2]), [random([1, 3, 4], 1)]],
  ['slice', (x) => x.slice([1, 0, 2], [1, 3, 2]), [random([3, 3, 5], 1)]],
  ['split', (x) => { const [a, , c] = x.split([1, 2, 3], 1); return c.mul(a); }, [random([2, 6], 1)]], // prettier-ignore
  ['split into one', (x) => x.split([4])[0].square(), [random([2, 4], 1)]],
  ...(
    [
      [0, [2, 0]],
      [0, [1, 1, 2, 1]],
      [1, [3, 0, 3]],
      [-1, []],
    ] as const
  ).map(
    ([axis, ids]) => [`gather ${JSON.stringify(ids)} along ${axis}`, (x: Tensor) => x.gather(Tensor.from(x.backend, Int32Array.from(ids)), axis), [random([3, 4], 1)]] as const, // prettier-ignore
  ),
  ...[0, 1].map((axis) => [`concat along ${axis}`, (a: Tensor, b: Tensor) => concat([a, b, a], axis), [random([2, 3], 1), random([2, 3], 2)]] as const), // prettier-ignore
  ['concat of one', (x) => concat([x]).square(), [random([2, 3], 1)]],
];

const parameter = (backend: Backend, { shape, values }: F64): Parameter => {
  const filled = new Parameter('weight', shape, 'f32');
  filled.fill(Tensor.from(backend, values, shape));
  return filled;
};

const layer = (backend: Backend, weight: F64, bias?: F64): Linear => ({
  weight: parameter(backend, weight),
  bias: bias && parameter(backend, bias),
  sizes: [weight.shape[0]],
  compute: 'f32',
});

/** Attention of three rows to five keys, two heads to one. */
function attend(
  q: Tensor,
  keys: Tensor,
  values: Tensor,
  options: Partial<AttentionOptions> & { sinks?: Tensor } = {},
): Tensor {
  const [[T], [, S]] = [q.shape, keys.shape];
  const mask = build([T, S], ([t, s]) => (s <= t + S - T ? 0 : -Infinity));
  const positions = Int32Array.from({ length: S }, (_, s) => s);
  const sequence = { begin: 0, end: T, keys, values, positions, mask: Tensor.from(q.backend, mask.values, mask.shape) };
  return attention(q, [sequence], { scale: 0.5, ...options });
}

const ATTENTION = [random([3, 4, 6], 1), random([2, 5, 6], 2), random([2, 5, 4], 3)];
const ATTENTION_TAPS = ['attn.hook_attn_scores', 'attn.hook_pattern'];
/** Gives each of these activations another handle, as an edit would. */
const replacing = <R>(names: readonly string[], body: () => R): R =>
  observe([{ wants: (name) => names.includes(name), visit: (_, value) => value.reshape(value.shape) }], body);

/** What layers are made of, as compositions. */
const OPS: readonly (readonly [name: string, op: Op, operands: readonly F64[]])[] = [
  ...(['silu', 'gelu', 'gelu_tanh', 'quick_gelu', 'relu', 'relu2'] satisfies Activation[]).flatMap((activation) => [
    [activation, (x: Tensor) => activate(x, activation), [random([3, 5], 1)]] as const,
    [`gated by ${activation}`, (x: Tensor, y: Tensor) => gated(x, y, activation), [random([3, 5], 1), random([3, 5], 2)]] as const, // prettier-ignore
  ]),
  ['swiglu', swiglu, [random([3, 5], 1), random([3, 5], 2)]],
  [
    'clampedSwiglu',
    (x, y) => clampedSwiglu(x, y, { limit: 1.25, alpha: 1.702 }),
    [random([3, 5], 1), random([3, 5], 2)],
  ],
  ['rmsNorm', (x, w) => rmsNorm(x, w, 1e-5), [random([3, 6], 1), random([6], 2)]],
  ['rmsNorm, edited', (x, w) => replacing(['n.hook_scale', 'n.hook_normalized'], () => rmsNorm(x, w, 1e-5, 'n')), [random([3, 6], 1), random([6], 2)]], // prettier-ignore
  ['layerNorm', (x, w, b) => layerNorm(x, w, b, 1e-5, 'n'), [random([3, 6], 1), random([6], 2), random([6], 3)]],
  ['layerNorm, edited', (x, w, b) => replacing(['n.hook_scale'], () => layerNorm(x, w, b, 1e-5, 'n')), [random([3, 6], 1), random([6], 2), random([6], 3)]], // prettier-ignore
  ['rotate', (x, cos, sin) => rotate(x, { cos, sin }), [random([3, 2, 6], 1), random([3, 3], 2), random([3, 3], 3)]],
  ['rotate in part', (x) => rotate(x, { cos: x.slice([0, 0, 0], [3, 1, 2]).reshape([3, 2]), sin: x.slice([0, 1, 0], [3, 1, 2]).reshape([3, 2]) }), [random([3, 2, 6], 1)]], // prettier-ignore
  ['attention', (q, k, v) => attend(q, k, v), ATTENTION],
  ['attention with its scores and pattern edited', (...x) => replacing(ATTENTION_TAPS, () => attend(x[0], x[1], x[2])), ATTENTION], // prettier-ignore
  ['attention with sinks', (q, k, v, sinks) => attend(q, k, v, { sinks }), [...ATTENTION, random([4], 4)]],
  ['attention with a soft cap', (q, k, v) => attend(q, k, v, { softCap: 0.8 }), ATTENTION],
  ['attention to values that are the first numbers of the keys', (q, k) => attend(q, k, k, { valueDim: 4 }), ATTENTION.slice(0, 2)], // prettier-ignore
  ['attention in two blocks of queries', (q, k, v) => attend(q, k, v), [random([260, 2, 3], 1), random([1, 262, 3], 2), random([1, 262, 2], 3)]], // prettier-ignore
  ['linear', (x) => linear(x, layer(x.backend, random([7, 5], 2), random([7], 3))), [random([3, 5], 1)]],
  ['headLinear', (x) => headLinear(x, layer(x.backend, random([6, 5], 2))), [random([4, 2, 3], 1)]],
  ['headLinear transposed', (x) => headLinear(x, layer(x.backend, random([10, 3], 2)), { transposed: true }), [random([4, 2, 3], 1)]], // prettier-ignore
  ['headResults', (x) => headResults(x, layer(x.backend, random([5, 6], 2))), [random([4, 2, 3], 1)]],
  ['experts', mix, [random([4, 6], 1), random([4, 2], 2)]],
  ['weights of chosen experts by their sum', (x) => { const chosen = takeColumns(x.softmax(), chosenOf(x)); return chosen.div(chosen.sum(-1).reshape([4, 1]).add(1e-3)); }, [random([4, 5], 1)]], // prettier-ignore
  ['weights of chosen experts by a softmax', (x) => takeColumns(x, chosenOf(x)).softmax(), [random([4, 5], 1)]],
  ['weights over all experts, edited', (x) => { const ids = chosenOf(x); const dense = scatterColumns(x, ids, 5); return takeScattered(dense.reshape(dense.shape), { weights: x, ids, dense }).square(); }, [random([4, 2], 1)]], // prettier-ignore
];

/** Two of five experts for each of four rows; no row has the last. */
const chosenOf = ({ backend }: Tensor): Tensor => Tensor.from(backend, Int32Array.of(0, 3, 2, 0, 1, 3, 2, 3), [4, 2]);

function mix(x: Tensor, weights: Tensor): Tensor {
  const { backend } = x;
  const all = Array.from({ length: 5 }, (_, e) => ({
    gateUp: { ...layer(backend, random([6, 6], 10 + e), random([6], 20 + e)), sizes: [3, 3] },
    down: layer(backend, random([6, 3], 30 + e)),
  }));
  return experts(x, { ids: chosenOf(x), weights }, all, swiglu);
}

/** The rule of every primitive and, by them, the gradients of every op. */
export function gradients(backend: Backend): void {
  const double = createBackend('reference-f64');

  it.each([...PRIMITIVES, ...OPS])('of %s are its slopes', (name, op, operands) => {
    const exact = once(`gradients of ${name}`, () => gradientsOf(double, op, operands));
    expectSlopes(double, op, operands, exact);
    if (backend === double) return;
    gradientsOf(backend, op, operands).forEach((actual, i) => {
      const largest = exact[i].reduce((most, g) => Math.max(most, Math.abs(g)), 0);
      const worst = actual.reduce((most, g, at) => Math.max(most, Math.abs(g - exact[i][at])), 0);
      expect(worst, `operand ${i}`).toBeLessThanOrEqual(SINGLE * largest);
    });
  });

  it('there is a rule for every primitive, and each is tried here', () => {
    const heard = new Set<TapedOp>();
    const listener = { tracks: () => false, record: (op: TapedOp) => void heard.add(op), recordWhole: () => undefined };
    scope('', () => {
      onTape(listener, () => {
        for (const [, op, operands] of PRIMITIVES) op(...operands.map((x) => Tensor.from(backend, x.values, x.shape)));
        Tensor.from(backend, [1]).cast('bf16');
      });
    });
    expect([...heard].sort()).toEqual(Object.keys(RULES).sort());
  });

  it('equal operands share the gradient of maximum, minimum and max', () => {
    const of = (op: Op, ...operands: F64[]): number[][] => gradientsOf(backend, op, operands, false).map((g) => [...g]);
    const list = (...values: number[]): F64 => ({ shape: [values.length], values: Float64Array.from(values) });
    expect(of((a, b) => a.maximum(b), list(0, 1, 2), list(0, 2, 1))).toEqual([[0.5, 0, 1], [0.5, 1, 0]]); // prettier-ignore
    expect(of((a, b) => a.minimum(b), list(0, 1, 2), list(0, 2, 1))).toEqual([[0.5, 1, 0], [0.5, 0, 1]]); // prettier-ignore
    expect(of((a) => a.max(), list(3, 1, 3, 2))).toEqual([[0.5, 0, 0.5, 0]]);
  });

  it('a conversion to bf16 and a product in it have the gradients of f32, on operands that were rounded', () => {
    const [x, w] = [map(random([3, 4], 1), Math.round), map(random([5, 4], 2), Math.round)];
    const product = (a: Tensor, b: Tensor): Tensor => a.matmul(b, { transposeB: true });
    const narrow: Op = (a, b) => product(a.cast('bf16'), b.cast('bf16')).cast('f32');
    expect(gradientsOf(backend, narrow, [x, w])).toEqual(gradientsOf(backend, product, [x, w]));
  });

  it('nothing is kept for what no gradient goes through', () => {
    using tape = new GradientTape();
    scope('', () => {
      const [x, constant] = [tape.watch(Tensor.from(backend, [1, 2])), Tensor.from(backend, [3, 4])];
      tape.run(() => constant.mul(constant).exp().add(x));
      expect(tape.bytes).toBe(0);
      tape.run(() => x.mul(constant));
      expect(tape.bytes).toBe(8);
    });
  });

  it('a watched tensor that the value does not depend on has zeros', () => {
    using tape = new GradientTape();
    scope('', () => {
      const [x, y] = [[1, 2], [3]].map((values) => tape.watch(Tensor.from(backend, values)));
      tape.takeBack(tape.run(() => y.square()));
      expect([...tape.gradient(x).data()]).toEqual([0, 0]);
      expect([...tape.gradient(y).data()]).toEqual([6]);
    });
  });

  it('a tensor that is watched twice has a gradient at each place', () => {
    using tape = new GradientTape();
    scope('', () => {
      const x = tape.watch(Tensor.from(backend, [3]));
      const again = tape.run(() => tape.watch(x));
      tape.takeBack(tape.run(() => again.square().add(x)));
      expect([...tape.gradient(again).data()]).toEqual([6]);
      expect([...tape.gradient(x).data()]).toEqual([7]);
    });
  });

  it('what a gradient goes through cannot be written to a store, where it would end', () => {
    using tape = new GradientTape();
    const store = new Variable(backend, [2]);
    scope('', () => {
      const x = tape.watch(Tensor.from(backend, [1, 2]));
      tape.run(() => {
        expect(() => {
          store.write([0], x.mul(2));
        }).toThrow('Variable.write: expected a constant: no gradient goes through a store.');
        store.write([0], Tensor.from(backend, [3, 4]));
      });
    });
    store.dispose();
  });

  it('integers cannot be watched', () => {
    using tape = new GradientTape();
    scope('', () => {
      const ids = Tensor.from(backend, Int32Array.of(1));
      expect(() => tape.watch(ids)).toThrow('gradients: expected floats, got i32 [1]: integers are constant.');
    });
  });
}

/** The sum of an op's result, each number times one at random (or, not `weighted`, times 1). */
function total(y: Tensor, weighted: boolean): Tensor {
  const weights = random(y.shape, 77);
  return (weighted ? y.mul(Tensor.from(y.backend, weights.values, y.shape)) : y).reshape([-1]).sum();
}

function gradientsOf(backend: Backend, op: Op, operands: readonly F64[], weighted = true): Float64Array[] {
  using tape = new GradientTape();
  return scope('', () => {
    const watched = operands.map(({ shape, values }) => tape.watch(Tensor.from(backend, values, shape)));
    tape.takeBack(tape.run(() => total(op(...watched), weighted)));
    return watched.map((x) => {
      expect(tape.gradient(x).shape).toEqual(x.shape);
      return tape.gradient(x).data64();
    });
  });
}

/** Compares with central differences along a direction at random, in f64. */
function expectSlopes(double: Backend, op: Op, operands: readonly F64[], exact: readonly Float64Array[]): void {
  operands.forEach(({ shape, values }, i) => {
    const direction = random(shape, 99).values;
    const at = (step: number): number =>
      scope('', () => {
        const moved = values.map((x, j) => x + step * direction[j]);
        const inputs = operands.map((x, j) => Tensor.from(double, j === i ? moved : x.values, x.shape));
        return total(op(...inputs), true).data64()[0];
      });
    const slope = (at(STEP) - at(-STEP)) / (2 * STEP);
    const terms = exact[i].map((g, j) => g * direction[j]);
    const size = sum(terms.length, (j) => Math.abs(terms[j]));
    expect(Math.abs(sum(terms.length, (j) => terms[j]) - slope), `operand ${i}`).toBeLessThanOrEqual(SLOPE * size);
  });
}
