import { describe, expect, it } from 'vitest';
import type { Backend } from '../../../src/tensor/backend.ts';
import { ShapeError } from '../../../src/errors.ts';
import { clampedSwiglu } from '../../../src/tensor/ops/clamped-swiglu.ts';
import { type Expert, experts as mixExperts } from '../../../src/tensor/ops/experts.ts';
import { headLinear } from '../../../src/tensor/ops/head-linear.ts';
import { swiglu } from '../../../src/tensor/ops/swiglu.ts';
import { onlyGroups, scatterColumns, takeColumns, topGroups, topK, topMargin } from '../../../src/tensor/ops/top-k.ts';
import { Parameter } from '../../../src/tensor/parameter.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { observe } from '../../../src/tensor/tap.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { at, build, type F64, random, sum } from '../../support/f64-oracle.ts';
import { bothWays, expectClose, type Made, tensor, TOLERANCE } from './close.ts';

const list = (rows: readonly (readonly number[])[]): F64 => ({
  shape: [rows.length, rows[0].length],
  values: Float64Array.from(rows.flat()),
});

/** Mixtures of experts and the choice of them, against their formulas. */
export function experts(backend: Backend): void {
  const make = (a: F64, made: Made): Tensor => tensor(backend, a, made);

  it('topK gives the largest first, of equal ones the lower column, and NaN before all', () => {
    bothWays((made) => {
      const x = make(
        list([
          [3, 1, 3, 2],
          [-1, -Infinity, -1, -1],
          [0, NaN, Infinity, 5],
        ]),
        made,
      );
      expect([...topK(x, 3).integers()]).toEqual([0, 2, 3, 0, 2, 3, 1, 2, 3]);
      expect(topK(x, 3)).toMatchObject({ shape: [3, 3], dtype: 'i32' });
    });
    const few = (): Tensor => topK(make(list([[1, 2]]), 'whole'), 3);
    expect(() => scope('', few)).toThrow(new ShapeError('topK: expected at least 3 columns, got [1, 2].'));
  });

  it.each([
    [1, [1, 0]],
    [2, [2, 1]],
  ] as const)('topGroups chooses by the sum of the best %i, and onlyGroups leaves their columns', (best, kept) => {
    bothWays((made) => {
      // Three groups of three. Best: 1, 5, 4. Sums of the best two: 1, 4.5, 8; negative numbers stand for themselves.
      const x = list([[1, -2, 0, -0.5, 5, -3, 4, 4, -9]]);
      const ids = topGroups(make(x, made), { groups: 3, kept: 2, best });
      expect([...ids.integers()]).toEqual(best === 1 ? [1, 2] : [2, 1]);
      const limited = onlyGroups(make(x, made), Tensor.from(backend, Int32Array.from(kept), [1, 2]), 3);
      expectClose(
        limited,
        build([1, 9], ([, c]) => (kept.includes(Math.floor(c / 3) as never) ? x.values[c] : -Infinity)),
        TOLERANCE.exact,
      );
    });
  });

  it('takeColumns, scatterColumns and topMargin follow the ids of each row', () => {
    bothWays((made) => {
      const x = random([3, 5], 1);
      const ids = Int32Array.of(4, 0, 2, 2, 1, 3);
      const chosen = (): Tensor => Tensor.from(backend, ids, [3, 2]);
      expectClose(
        takeColumns(make(x, made), chosen()),
        build([3, 2], ([t, j]) => at(x, [t, ids[2 * t + j]])),
        TOLERANCE.exact,
      );
      const weights = random([3, 2], 2);
      const dense = build([3, 5], ([t, c]) => sum(2, (j) => (ids[2 * t + j] === c ? at(weights, [t, j]) : 0)));
      expectClose(scatterColumns(make(weights, made), chosen(), 5), dense, TOLERANCE.exact);
      expectClose(
        topMargin(
          make(
            list([
              [1, 7, 4.5, 2],
              [-1, -1, -3, -2],
            ]),
            made,
          ),
          2,
        ),
        { shape: [2], values: Float64Array.of(2.5, 1) },
        TOLERANCE.exact,
      );
      expectClose(
        topMargin(make(list([[1, 2]]), made), 2),
        { shape: [1], values: Float64Array.of(Infinity) },
        TOLERANCE.exact,
      );
    });
  });

  it.each([
    [1, 5],
    [7, 33],
    [130, 70],
  ])('clampedSwiglu of [%i, %i] is its formula', (...shape) => {
    const [gate, up] = [random(shape, 1), random(shape, 2)];
    const limit = 1.25;
    const expected = build(shape, (i) => {
      const g = Math.min(at(gate, i), limit);
      const u = Math.max(-limit, Math.min(at(up, i), limit));
      return ((u + 1) * g) / (1 + Math.exp(-1.702 * g));
    });
    bothWays((made) => {
      expectClose(
        clampedSwiglu(make(gate, made), make(up, made), { limit, alpha: 1.702 }),
        expected,
        TOLERANCE.composed,
      );
    });
  });

  it('clampedSwiglu clamps at its limits', () => {
    scope('', () => {
      const [gate, up] = [make(list([[1, 8, -9]]), 'whole'), make(list([[1, -9, 8]]), 'whole')];
      const values = Float64Array.of(1.6915915319, -41.9997187698, (-9 * 8) / (1 + Math.exp(1.702 * 9)));
      expectClose(clampedSwiglu(gate, up, { limit: 7, alpha: 1.702 }), { shape: [1, 3], values }, TOLERANCE.composed);
    });
  });

  // [T, D, F, E, k], which experts: one token, an expert twice in a row, one that all rows go to, one that none goes to.
  describe.each([
    [1, 6, 5, 4, 2, [3, 1]],
    [1, 6, 5, 3, 3, [2, 2, 0]],
    [4, 8, 3, 5, 2, [0, 4, 4, 2, 0, 2, 4, 0]],
    [9, 40, 33, 3, 1, [1, 1, 1, 1, 1, 1, 1, 1, 1]],
  ])('experts of T %i, D %i, F %i, E %i, k %i', (T, D, F, E, k, ids) => {
    const x = random([T, D], 1);
    const weights = random([T, k], 2);
    const stored = Array.from({ length: E }, (_, e) => ({
      gateUp: random([2 * F, D], 10 + e),
      gateUpBias: random([2 * F], 20 + e),
      down: random([D, F], 30 + e),
      downBias: random([D], 40 + e),
    }));
    const parameter = (a: F64, made: Made): Parameter => {
      const filled = new Parameter('weight', a.shape, 'f32');
      filled.fill(make(a, made));
      return filled;
    };
    const layers = (made: Made): Expert[] =>
      stored.map(({ gateUp, gateUpBias, down, downBias }) => ({
        gateUp: { weight: parameter(gateUp, made), bias: parameter(gateUpBias, made), sizes: [F, F], compute: 'f32' },
        down: { weight: parameter(down, made), bias: parameter(downBias, made), sizes: [D], compute: 'f32' },
      }));
    const routing = (made: Made) => ({
      ids: Tensor.from(backend, Int32Array.from(ids), [T, k]),
      weights: make(weights, made),
    });
    const preAt = (e: number, t: number, row: number): number =>
      sum(D, (i) => at(x, [t, i]) * at(stored[e].gateUp, [row, i])) + at(stored[e].gateUpBias, [row]);
    const hidden = stored.map((_, e) =>
      build([T, F], ([t, f]) => {
        const [gate, up] = [preAt(e, t, f), preAt(e, t, F + f)];
        return (gate / (1 + Math.exp(-gate))) * up;
      }),
    );
    const out = stored.map(({ down, downBias }, e) =>
      build([T, D], ([t, o]) => sum(F, (f) => at(hidden[e], [t, f]) * at(down, [o, f])) + at(downBias, [o])),
    );
    const bySlot = build([T, k, D], ([t, j, o]) => at(out[ids[t * k + j]], [t, o]));
    const expected = build([T, D], ([t, o]) => sum(k, (j) => at(weights, [t, j]) * at(bySlot, [t, j, o])));
    const size = 4 * D * 4 * D * F * 8;

    it('is the formula', () => {
      bothWays((made) => {
        expectClose(mixExperts(make(x, made), routing(made), layers(made), swiglu), expected, TOLERANCE.sum, size);
      });
    });

    it('shows what each expert does, bit for bit the same, and takes edits of it', () => {
      bothWays((made) => {
        const run = (): Tensor => mixExperts(make(x, made), routing(made), layers(made), swiglu);
        const seen = new Map<string, Float32Array>();
        const record = {
          wants: () => true,
          visit: (name: string, value: Tensor): undefined => void seen.set(name, value.data()),
        };
        const watched = observe([record], run);
        expect(watched.data()).toEqual(run().data());
        expect([...seen.keys()].sort()).toEqual(
          ['mlp.hook_expert_out', ...stored.flatMap((_, e) => ['hook_token_index', 'hook_pre', 'hook_pre_linear', 'hook_post', 'hook_out'].map((hook) => `mlp.experts.${e}.${hook}`))].sort(), // prettier-ignore
        );
        for (const [e] of stored.entries()) {
          const rows = ids.flatMap((id, slot) => (id === e ? [Math.floor(slot / k)] : []));
          const show = (hook: string): number[] => [...seen.get(`mlp.experts.${e}.${hook}`)!];
          expect(show('hook_token_index')).toEqual(rows);
          const near = (hook: string, wanted: (row: number) => number[]): void => {
            const values = rows.flatMap(wanted);
            expectClose(
              Tensor.from(backend, show(hook)),
              { shape: [values.length], values: Float64Array.from(values) },
              TOLERANCE.sum,
              size,
            );
          };
          near('hook_pre', (t) => Array.from({ length: F }, (_, f) => preAt(e, t, f)));
          near('hook_pre_linear', (t) => Array.from({ length: F }, (_, f) => preAt(e, t, F + f)));
          near('hook_post', (t) => Array.from({ length: F }, (_, f) => at(hidden[e], [t, f])));
          near('hook_out', (t) => Array.from({ length: D }, (_, o) => at(out[e], [t, o])));
        }
        const silenced = observe(
          [{ wants: (name) => name === `mlp.experts.${ids[0]}.hook_post`, visit: (_, value) => value.mul(0) }],
          run,
        );
        const biasOnly = (t: number, j: number, o: number): number =>
          ids[t * k + j] === ids[0] ? at(stored[ids[0]].downBias, [o]) : at(bySlot, [t, j, o]);
        expectClose(
          silenced,
          build([T, D], ([t, o]) => sum(k, (j) => at(weights, [t, j]) * biasOnly(t, j, o))),
          TOLERANCE.sum,
          size,
        );
      });
    });
  });

  // [T, H, a, b]: one token, one head, a and b alike, more of each.
  it.each([
    [1, 1, 3, 5],
    [1, 4, 8, 8],
    [7, 3, 5, 9],
  ])('headLinear of T %i, H %i takes each head from %i to %i columns', (T, H, a, b) => {
    const x = random([T, H, a], 1);
    bothWays((made) => {
      for (const transposed of [false, true]) {
        const [rows, columns] = transposed ? [b, a] : [a, b];
        const w = random([H * rows, columns], 2);
        const element = (h: number, i: number, o: number): number =>
          at(w, transposed ? [h * rows + o, i] : [h * rows + i, o]);
        const expected = build([T, H, b], ([t, h, o]) => sum(a, (i) => at(x, [t, h, i]) * element(h, i, o)));
        for (const compute of ['f32', 'bf16'] as const) {
          const weight = new Parameter('weight', w.shape, 'f32');
          weight.fill(make(w, made));
          const layer = { weight, bias: undefined, sizes: [H * rows], compute };
          const tolerance = compute === 'f32' ? TOLERANCE.sum : 3 * TOLERANCE.bf16;
          expectClose(headLinear(make(x, made), layer, { transposed }), expected, tolerance, 4 * a);
        }
      }
    });
  });

  it.each([4, -1, 0.5, NaN])('refuses %f as an expert of four', (id) => {
    const ids = (): Tensor => Tensor.from(backend, [0, id], [1, 2]);
    expect(() => scope('', () => takeColumns(make(random([1, 4]), 'whole'), ids()))).toThrow(
      new ShapeError(`expert ids [1, 2]: expected whole numbers from 0 to 3, got ${id}.`),
    );
  });
}
