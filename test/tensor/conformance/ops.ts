import { describe, expect, it } from 'vitest';
import type { Backend } from '../../../src/tensor/backend.ts';
import { ShapeError } from '../../../src/errors.ts';
import { type Activation, activate, gated } from '../../../src/tensor/ops/activation.ts';
import { attention, type KeyValues } from '../../../src/tensor/ops/attention.ts';
import { layerNorm } from '../../../src/tensor/ops/layer-norm.ts';
import { rmsNorm } from '../../../src/tensor/ops/rms-norm.ts';
import { rotate } from '../../../src/tensor/ops/rotate.ts';
import { swiglu } from '../../../src/tensor/ops/swiglu.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { observe } from '../../../src/tensor/tap.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { at, build, type F64, map, once, random, softmaxRow, sum } from '../../support/f64-oracle.ts';
import { bothWays, expectClose, type Made, tensor, TOLERANCE } from './close.ts';

const EPSILON = 1e-5;

// [rows..., width]: nothing, one token, odd sizes, heads, one beyond the kernels for few numbers (8192).
const NORMED = [
  [0, 8],
  [1, 1],
  [1, 64],
  [3, 17],
  [2, 3, 5],
  [128, 64],
  [129, 64],
  [5, 40, 64],
];

/** By formulas that share nothing with the ops: erf as the integral of its density, tanh by exponentials. */
const ACTIVATIONS: Record<Activation, (x: number) => number> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => x * normalDistribution(x),
  gelu_tanh: (x) => x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  quick_gelu: (x) => x / (1 + Math.exp(-1.702 * x)),
  relu: (x) => (x > 0 ? x : 0),
  relu2: (x) => (x > 0 ? x * x : 0),
};

/** The integral of the standard normal density up to x, by Simpson's rule. */
function normalDistribution(x: number): number {
  const n = 2000;
  const density = (i: number): number => Math.exp(-(((i * x) / n) ** 2) / 2) / Math.sqrt(2 * Math.PI);
  return 0.5 + (x / n / 3) * sum(n + 1, (i) => density(i) * (i === 0 || i === n ? 1 : 2 + 2 * (i % 2)));
}

// [T, H, d, R]: nothing, one token, one head, part of a head, up to the limit of the kernels for few numbers and beyond.
const ROTATED = [
  [0, 2, 4, 4],
  [1, 3, 8, 8],
  [3, 1, 6, 6],
  [4, 5, 10, 4],
  [16, 8, 64, 64],
  [33, 4, 64, 64],
  [17, 8, 64, 16],
];

// [T, H, K, d, dv, S, order of the slots]: one token, no token, groups of 1, 3 and 8 query heads, values of another width, odd
// sizes; a block of queries that does not see the spare slots, and two blocks.
const ATTENTIONS = [
  [1, 1, 1, 4, 4, 1, 'backward'],
  [1, 4, 4, 8, 8, 9, 'backward'],
  [0, 2, 1, 4, 4, 3, 'backward'],
  [5, 3, 3, 6, 6, 5, 'backward'],
  [1, 6, 2, 8, 8, 64, 'backward'],
  [7, 6, 2, 5, 5, 11, 'backward'],
  [3, 8, 1, 16, 4, 7, 'backward'],
  [13, 16, 2, 8, 8, 33, 'backward'],
  [40, 3, 1, 4, 4, 52, 'forward'],
  [260, 2, 1, 4, 4, 275, 'forward'],
  [260, 2, 1, 4, 4, 262, 'backward'],
] as const;

/** The ops that read no weight matrix, against their formulas. */
export function ops(backend: Backend): void {
  const make = (a: F64, made: Made): Tensor => tensor(backend, a, made);
  describe.each(NORMED.map((shape) => [shape]))('rmsNorm %j', (shape) => {
    const width = shape.at(-1)!;
    const [x, w] = [random(shape, 1), random([width], 2)];
    const scales = build(shape.with(-1, 1), (i) =>
      Math.sqrt(sum(width, (j) => at(x, i.with(-1, j)) ** 2) / width + EPSILON),
    );
    const normalized = build(shape, (i) => at(x, i) / at(scales, i.with(-1, 0)));
    const expected = build(shape, (i) => at(normalized, i) * at(w, [i.at(-1)!]));

    it('is the formula', () => {
      bothWays((made) => {
        expectClose(rmsNorm(make(x, made), make(w, made), EPSILON, 'ln1'), expected, TOLERANCE.composed);
      });
    });

    it('shows its inside without changing a bit, and takes edits of it', () => {
      bothWays((made) => {
        const [input, weight] = [make(x, made), make(w, made)];
        const plain = rmsNorm(input, weight, EPSILON, 'ln1');
        const seen: string[] = [];
        const watched = withTaps(
          (name, value) => {
            seen.push(name);
            const hidden = name === 'ln1.hook_scale' ? scales : normalized;
            expectClose(value, hidden, TOLERANCE.composed);
            return undefined;
          },
          () => rmsNorm(input, weight, EPSILON, 'ln1'),
        );
        expect(seen).toEqual(['ln1.hook_scale', 'ln1.hook_normalized']);
        expect(watched.data()).toEqual(plain.data());
        const halved = withTaps(
          (name, value) => (name === 'ln1.hook_scale' ? value.mul(2) : undefined),
          () => rmsNorm(input, weight, EPSILON, 'ln1'),
        );
        expectClose(
          halved,
          map(expected, (y) => y / 2),
          TOLERANCE.composed,
        );
        const negated = withTaps(
          (name, value) => (name === 'ln1.hook_normalized' ? value.mul(-1) : undefined),
          () => rmsNorm(input, weight, EPSILON, 'ln1'),
        );
        expectClose(
          negated,
          map(expected, (y) => -y),
          TOLERANCE.composed,
        );
      });
    });
  });

  describe.each(NORMED.map((shape) => [shape]))('layerNorm %j', (shape) => {
    const width = shape.at(-1)!;
    const [x, w, b] = [random(shape, 1), random([width], 2), random([width], 3)];
    const meanAt = (i: readonly number[]): number => sum(width, (j) => at(x, i.with(-1, j))) / width;
    const means = build(shape.with(-1, 1), meanAt);
    const mean = (i: readonly number[]): number => at(means, i.with(-1, 0));
    const scales = build(shape.with(-1, 1), (i) =>
      Math.sqrt(sum(width, (j) => (at(x, i.with(-1, j)) - mean(i)) ** 2) / width + EPSILON),
    );
    const normalized = build(shape, (i) => (at(x, i) - mean(i)) / at(scales, i.with(-1, 0)));
    const gained = (factor: number): F64 =>
      build(shape, (i) => factor * at(normalized, i) * at(w, [i.at(-1)!]) + at(b, [i.at(-1)!]));

    it('is the formula', () => {
      bothWays((made) => {
        const y = layerNorm(make(x, made), make(w, made), make(b, made), EPSILON, 'ln1');
        expectClose(y, gained(1), TOLERANCE.composed, 4);
      });
    });

    it('shows its inside without changing a bit, and takes edits of it', () => {
      bothWays((made) => {
        const run = (): Tensor => layerNorm(make(x, made), make(w, made), make(b, made), EPSILON, 'ln1');
        const plain = run();
        const seen: string[] = [];
        const watched = withTaps((name, value) => {
          seen.push(name);
          expectClose(value, name === 'ln1.hook_scale' ? scales : normalized, TOLERANCE.composed, 2);
          return undefined;
        }, run);
        expect(seen).toEqual(['ln1.hook_scale', 'ln1.hook_normalized']);
        expect(watched.data()).toEqual(plain.data());
        const halved = withTaps((name, value) => (name === 'ln1.hook_scale' ? value.mul(2) : undefined), run);
        expectClose(halved, gained(0.5), TOLERANCE.composed, 4);
        const negated = withTaps((name, value) => (name === 'ln1.hook_normalized' ? value.mul(-1) : undefined), run);
        expectClose(negated, gained(-1), TOLERANCE.composed, 4);
      });
    });
  });

  describe.each(Object.entries(ACTIVATIONS))('%s', (name, f) => {
    it.each([
      [0, 3],
      [1, 5],
      [7, 33],
      [130, 70],
    ])('is its function of [%i, %i], alone and as the gate of a product', (...shape) => {
      // prettier-ignore
      const [x, up] = [map(random(shape, 1), (value) => Math.fround(2 * value)), random(shape, 2)];
      const expected = once(`${name} ${String(shape)}`, () => map(x, f));
      bothWays((made) => {
        expectClose(activate(make(x, made), name as Activation), expected, TOLERANCE.approximation, 1);
        const product = build(shape, (i) => at(expected, i) * at(up, i));
        expectClose(gated(make(x, made), make(up, made), name as Activation), product, TOLERANCE.composed, 2);
      });
    });
  });

  it.each(ROTATED)('rotates [%i, %i, %i] in pairs, the first %i columns of each head', (T, H, d, R) => {
    const half = R / 2;
    const x = random([T, H, d], 1);
    const angles = random([T, half], 2);
    const cos = map(map(angles, Math.cos), Math.fround);
    const sin = map(map(angles, Math.sin), Math.fround);
    const expected = build([T, H, d], ([t, h, i]) => {
      if (i >= R) return at(x, [t, h, i]);
      const angle = [t, i % half];
      const other = i < half ? -at(x, [t, h, i + half]) : at(x, [t, h, i - half]);
      return at(x, [t, h, i]) * at(cos, angle) + other * at(sin, angle);
    });
    bothWays((made) => {
      const rotated = rotate(make(x, made), { cos: make(cos, made), sin: make(sin, made) });
      expectClose(rotated, expected, TOLERANCE.composed, 2 * Math.SQRT2);
    });
  });

  it.each([
    [0, 3],
    [1, 5],
    [7, 33],
    [130, 70],
  ])('computes swiglu of [%i, %i] by its formula', (...shape) => {
    const [gate, up] = [random(shape, 1), random(shape, 2)];
    const expected = build(shape, (i) => (at(gate, i) / (1 + Math.exp(-at(gate, i)))) * at(up, i));
    bothWays((made) => {
      expectClose(swiglu(make(gate, made), make(up, made)), expected, TOLERANCE.composed);
    });
  });

  describe.each(ATTENTIONS)('attention of T %i, H %i, K %i, d %i, dv %i, S %i %s', (T, H, K, d, dv, S, order) => {
    const [q, k, v] = [random([T, H, d], 1), random([K, S, d], 2), random([K, S, dv], 3)];
    const scale = d ** -0.5;
    // Where there are several slots, the last of them is empty.
    const end = Math.max(S - 1, 1);
    const positions = Int32Array.from({ length: S }, (_, s) =>
      order === 'backward' ? Math.max(end - 1 - s, -1) : s < end ? s : -1,
    );
    const visible = (t: number, s: number): boolean => positions[s] >= 0 && positions[s] <= Math.max(0, end - T) + t;
    const mask = build([T, S], ([t, s]) => (visible(t, s) ? 0 : -Infinity));
    const keyHead = (h: number): number => Math.floor(h / (H / K));
    const score = (h: number, t: number, s: number): number =>
      visible(t, s) ? scale * sum(d, (i) => at(q, [t, h, i]) * at(k, [keyHead(h), s, i])) : -Infinity;
    const key = String([T, H, K, d, dv, S, order]);
    const rows = once(`pattern ${key}`, () =>
      Array.from({ length: H * T }, (_, i) =>
        softmaxRow(Array.from({ length: S }, (_, s) => score(Math.floor(i / T), i % T, s))),
      ),
    );
    const rowOf = (h: number, t: number): number[] => rows[h * T + t];
    const mixed = (weight: (h: number, t: number) => readonly number[]): F64 =>
      build([T, H, dv], ([t, h, i]) => {
        const row = weight(h, t);
        return sum(S, (s) => row[s] * at(v, [keyHead(h), s, i]));
      });
    const sequence = (made: Made): KeyValues => ({
      begin: 0,
      end: T,
      keys: make(k, made),
      values: make(v, made),
      mask: make(mask, made),
      positions,
    });

    it('is the formula, with nothing shown', () => {
      const expected = once(`mixed ${key}`, () => mixed(rowOf));
      bothWays((made) => {
        expectClose(attention(make(q, made), [sequence(made)], { scale }), expected, TOLERANCE.composed, 2);
      });
    });

    it('shows scores, pattern and entropy by position, bit for bit the same', () => {
      const slots = Array.from({ length: end }, (_, position) => positions.indexOf(position));
      const shown = once(`shown ${key}`, () => ({
        'attn.hook_attn_scores': build([H, T, end], ([h, t, p]) => score(h, t, slots[p])),
        'attn.hook_pattern': build([H, T, end], ([h, t, p]) => rowOf(h, t)[slots[p]]),
        'attn.hook_entropy': build(
          [H, T],
          ([h, t]) => -sum(S, (s) => (rowOf(h, t)[s] > 0 ? rowOf(h, t)[s] * Math.log(rowOf(h, t)[s]) : 0)),
        ),
      }));
      bothWays((made) => {
        const run = (): Tensor => attention(make(q, made), [sequence(made)], { scale });
        const seen: string[] = [];
        const watched = withTaps((name, value) => {
          seen.push(name);
          expectClose(value, shown[name as keyof typeof shown], TOLERANCE.composed, 8);
          return undefined;
        }, run);
        expect(seen.sort()).toEqual(Object.keys(shown).sort());
        expect(watched.data()).toEqual(run().data());
      });
    });

    // The last position is one that early queries do not see by themselves.
    it.each([0, end - 1])('takes an edited pattern back into the order of its slots: only position %i', (seen) => {
      const only = build([H, T, end], ([, , p]) => (p === seen ? 1 : 0));
      const bySlot = Array.from(positions, (position) => (position === seen ? 1 : 0));
      const expected = once(`only ${seen} ${key}`, () => mixed(() => bySlot));
      bothWays((made) => {
        const edited = withTaps(
          (name) => (name === 'attn.hook_pattern' ? make(only, made) : undefined),
          () => attention(make(q, made), [sequence(made)], { scale }),
        );
        expectClose(edited, expected, TOLERANCE.composed);
      });
    });

    it('gives the same, bit for bit, where each edit puts back what it saw', () => {
      bothWays((made) => {
        const run = (): Tensor => attention(make(q, made), [sequence(made)], { scale });
        const edited = withTaps((name, value) => (name === 'attn.hook_entropy' ? undefined : value.clone()), run);
        expect(edited.data()).toEqual(run().data());
      });
    });
  });

  describe('attention with options', () => {
    const [T, H, K, d, S] = [3, 4, 2, 6, 5];
    const [q, keys, values, sinks] = [random([T, H, d], 1), random([K, S, d], 2), random([K, S, 4], 3), random([H], 4)];
    const cap = 0.8;
    const keyHead = (h: number): number => Math.floor(h / (H / K));
    const dot = (t: number, h: number, s: number): number =>
      0.5 * sum(d, (i) => at(q, [t, h, i]) * at(keys, [keyHead(h), s, i]));
    const mask = build([T, S], ([t, s]) => (s <= t + 1 ? 0 : -Infinity));
    const run = (made: Made, options: object, v = values): Tensor => {
      const sequence = { begin: 0, end: T, keys: make(keys, made), values: make(v, made), mask: make(mask, made) };
      const positions = Int32Array.from({ length: S }, (_, s) => s);
      return attention(make(q, made), [{ ...sequence, positions }], { scale: 0.5, ...options });
    };
    const mix = (row: (t: number, h: number) => readonly number[], v = values, width = 4): F64 =>
      build([T, H, width], ([t, h, i]) => sum(S, (s) => row(t, h)[s] * at(v, [keyHead(h), s, i])));
    const scores = (t: number, h: number, f = (x: number): number => x): number[] =>
      Array.from({ length: S }, (_, s) => f(dot(t, h, s)) + at(mask, [t, s]));

    it('bounds the scores by a soft cap before the mask', () => {
      const capped = (t: number, h: number): number[] => scores(t, h, (x) => cap * Math.tanh(x / cap));
      bothWays((made) => {
        const z = withTaps(
          (name, value) => {
            if (name === 'attn.hook_attn_scores')
              expectClose(
                value,
                build([H, T, S], ([h, t, s]) => capped(t, h)[s]),
                TOLERANCE.composed,
                2,
              );
            return undefined;
          },
          () => run(made, { softCap: cap }),
        );
        expectClose(
          z,
          mix((t, h) => softmaxRow(capped(t, h))),
          TOLERANCE.composed,
          2,
        );
      });
    });

    it('lets sinks take part in the softmax and bring no value', () => {
      const withSink = (t: number, h: number, sink: number): number[] => softmaxRow([...scores(t, h), sink]);
      bothWays((made) => {
        const seen = new Map<string, Tensor>();
        const options = { sinks: make(sinks, made) };
        const z = withTaps(
          (name, value) => (seen.set(name, value), undefined),
          () => {
            const result = run(made, options);
            return result;
          },
        );
        expectClose(
          z,
          mix((t, h) => withSink(t, h, at(sinks, [h])).slice(0, S)),
          TOLERANCE.composed,
          2,
        );
        expect(run(made, options).data()).toEqual(z.data());
        expect([...seen.keys()]).toContain('attn.hook_sink_logit');
        withTaps(
          (name, value) => {
            if (name === 'attn.hook_sink_prob')
              expectClose(
                value,
                build([H, T], ([h, t]) => withSink(t, h, at(sinks, [h]))[S]),
                TOLERANCE.composed,
                1,
              );
            return undefined;
          },
          () => run(made, options),
        );
        const edited = withTaps(
          (name, value) => (name === 'attn.hook_sink_logit' ? value.mul(3) : undefined),
          () => run(made, options),
        );
        expectClose(
          edited,
          mix((t, h) => withSink(t, h, 3 * at(sinks, [h])).slice(0, S)),
          TOLERANCE.composed,
          2,
        );
      });
    });

    it('takes the first numbers of the keys as values', () => {
      bothWays((made) => {
        const z = run(made, { valueDim: 4 }, keys);
        expectClose(
          z,
          mix((t, h) => softmaxRow(scores(t, h)), keys),
          TOLERANCE.composed,
          2,
        );
      });
    });
  });

  it('computes attention of several sequences as of each alone', () => {
    bothWays((made) => {
      const [q, k, v] = [random([5, 4, 6], 1), random([2, 3, 6], 2), random([2, 3, 6], 3)];
      const sequence = (begin: number, end: number): KeyValues => ({
        begin,
        end,
        keys: make(
          map(k, (x) => x * end),
          made,
        ),
        values: make(v, made),
        mask: undefined,
        positions: Int32Array.of(0, 1, 2),
      });
      const together = attention(make(q, made), [sequence(0, 1), sequence(1, 5)], { scale: 0.4 });
      for (const [begin, end] of [
        [0, 1],
        [1, 5],
      ]) {
        const rows = make(
          build([end - begin, 4, 6], ([t, h, i]) => at(q, [t + begin, h, i])),
          made,
        );
        const alone = attention(rows, [{ ...sequence(begin, end), begin: 0, end: end - begin }], { scale: 0.4 });
        expect(together.slice([begin, 0, 0], [end - begin, -1, -1]).data()).toEqual(alone.data());
      }
    });
  });

  it.each(Object.entries(REFUSED))('refuses shapes that do not fit: %s', (message, body) => {
    const run = (): Tensor => scope('', () => body((...shape) => make(random(shape), 'whole')));
    expect(run).toThrow(new ShapeError(message));
  });

  it('shows attention over more positions than a call takes arguments', () => {
    scope('', () => {
      const S = 200_000;
      const [keys, values] = [1, 2].map((seed) => make(random([1, S, 1], seed), 'whole'));
      const positions = Int32Array.from({ length: S }, (_, s) => S - 1 - s);
      const seen: number[][] = [];
      const record = (_: string, value: Tensor): undefined => void seen.push([...value.shape]);
      withTaps(record, () =>
        attention(make(random([1, 1, 1]), 'whole'), [{ begin: 0, end: 1, keys, values, mask: undefined, positions }], {
          scale: 1,
        }),
      );
      expect(seen).toContainEqual([1, 1, S]);
    });
  });
}

/** What a kernel that knows only lengths would not see. */
const REFUSED: Record<string, (ones: (...shape: number[]) => Tensor) => Tensor> = {
  'rmsNorm: expected a weight as wide as [2, 4], got [2].': (ones) => rmsNorm(ones(2, 4), ones(2), EPSILON, ''),
  'rmsNorm: expected a weight as wide as [2, 4], got [1, 4].': (ones) => rmsNorm(ones(2, 4), ones(1, 4), EPSILON, ''),
  'layerNorm: expected a weight and a bias as wide as [2, 4], got [4] and [2].': (ones) =>
    layerNorm(ones(2, 4), ones(4), ones(2), EPSILON, ''),
  'rotate: expected angles [T, up to d / 2] for [2, 3, 4], got [2, 3] and [2, 3].': (ones) =>
    rotate(ones(2, 3, 4), { cos: ones(2, 3), sin: ones(2, 3) }),
  'rotate: expected angles [T, up to d / 2] for [2, 3, 4], got [1, 2] and [1, 2].': (ones) =>
    rotate(ones(2, 3, 4), { cos: ones(1, 2), sin: ones(1, 2) }),
  'rotate: expected angles [T, up to d / 2] for [2, 3, 4], got [2, 2] and [2, 1].': (ones) =>
    rotate(ones(2, 3, 4), { cos: ones(2, 2), sin: ones(2, 1) }),
  'rotate: expected angles [T, up to d / 2] for [2, 4], got [2, 2] and [2, 2].': (ones) =>
    rotate(ones(2, 4), { cos: ones(2, 2), sin: ones(2, 2) }),
  'swiglu: expected two tensors of one shape, got [2, 3] and [3, 2].': (ones) => swiglu(ones(2, 3), ones(3, 2)),
  'swiglu: expected two tensors of one shape, got [2, 3] and [3].': (ones) => swiglu(ones(2, 3), ones(3)),
};

/** Runs `body` with an observer at every tap. */
function withTaps<R>(visit: (name: string, value: Tensor) => Tensor | undefined, body: () => R): R {
  return observe([{ wants: () => true, visit }], body);
}
