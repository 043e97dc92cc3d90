import { type Expert, experts as apply } from '../../tensor/ops/experts.ts';
import { clampedSwiglu } from '../../tensor/ops/clamped-swiglu.ts';
import type { Linear } from '../../tensor/ops/linear.ts';
import { swiglu } from '../../tensor/ops/swiglu.ts';
import { Parameter } from '../../tensor/parameter.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Draw } from '../inputs/draw.ts';
import type { OperandSpec } from '../inputs/operand-spec.ts';
import { defineSuite, F32_TOLERANCE, type OpCall, type Sizes } from './suite.ts';

/** The most numbers to lay out for all experts: 1 GB of f32. Beyond that, experts share matrices, which still exceed any cache. */
const MOST_NUMBERS = 2 ** 28;

/** The standard deviation of the part of a router's score that all tokens share, where a token's own is 1: trained routers spread their load. */
const SHARED_SCORE = 0.5;

/**
 * The routed part of a mixture: for each row, the weighted sum of the outputs of k experts. Letters: T rows, D model width, F
 * expert width, E experts, k experts per row. `biased` is 1 for experts with biases; `limit` and `alpha` are set for a clamped
 * SwiGLU. Only experts that some row chose are computed, counted, and laid out in memory.
 *
 * With M experts laid out, expert i has the matrices `gateUp${i % M}` `[2F, D]` and `down${i % M}` `[D, F]`.
 */
export const experts = defineSuite({
  name: 'experts',
  cases: ({ config: { dim: D, activation, experts: mixture }, mixtures }, { tokens: T }) => {
    if (mixture === undefined || (mixture.clamped === undefined && activation !== 'silu')) return [];
    const { count: E, perToken: k, dim: F, clamped } = mixture;
    return mixtures.map(({ site, count, stored, biased }) => ({
      site,
      sizes: { T, D, F, E, k, ...(biased && { biased: 1 }), ...clamped },
      calls: count,
      stored,
    }));
  },
  operands: (sizes) => {
    const { T, D, F, E, k, biased } = sizes;
    const matrix = (N: number, K: number): OperandSpec => ({
      kind: 'matrix',
      shape: [N, K],
      rows: false,
      fill: (draw, count) => draw.weights(count, K ** -0.5),
    });
    const bias = (N: number): OperandSpec => ({
      kind: 'vector',
      shape: [N],
      rows: false,
      fill: (draw, count) => draw.weights(count, 0.1),
    });
    const own = Array.from({ length: laidOut(sizes) }, (_, i) => [
      [`gateUp${i}`, matrix(2 * F, D)] as const,
      [`down${i}`, matrix(D, F)] as const,
      ...(biased
        ? ([
            [`gateUpBias${i}`, bias(2 * F)],
            [`downBias${i}`, bias(D)],
          ] as const)
        : []),
    ]);
    return {
      x: {
        kind: 'activation',
        shape: [T, D],
        rows: true,
        hook: 'mlp.router.hook_in',
        fill: (draw, count) => draw.activations(count),
      },
      ids: {
        kind: 'indices',
        shape: [T, k],
        rows: true,
        hook: 'mlp.hook_expert_indices',
        fill: (draw) => renumbered(chosenBy(draw, T, E, k)),
        fit: renumbered,
      },
      weights: {
        kind: 'vector',
        shape: [T, k],
        rows: true,
        hook: 'mlp.hook_topk_weights',
        fill: (draw, count) => Float32Array.from({ length: count }, () => (0.5 + draw.uniform()) / k),
      },
      ...Object.fromEntries(own.flat()),
    };
  },
  apply: ({ x, ids, weights, ...biases }, call) => {
    const { limit, alpha } = call.sizes;
    const act = !('limit' in call.sizes)
      ? swiglu
      : (gate: Tensor, up: Tensor) => clampedSwiglu(gate, up, { limit, alpha });
    return apply(x, { ids, weights }, layersOf(biases, call), act);
  },
  output: ({ T, D }) => [T, D],
  flops: ({ T, D, F, k }) => T * k * (6 * D * F + 5 * F + 2 * D),
  numbersRead: ({ ids }, { D, F }) => new Set(ids).size * 3 * D * F,
  // Two products, one after the other.
  tolerance: { ...F32_TOLERANCE, ofRow: 2e-5 },
  // In bf16 the gate and up branches, the input of `down`, and each expert's output are rounded, by up to 2^-9 of their size. The
  // errors add up as a random walk does, to a standard deviation of up to 2^-8 of the row; eight of those are allowed.
  bf16Tolerance: { relative: 2 ** -8, ofRow: 2 ** -5, absolute: 2 ** -120 },
});

/** The number of experts that have matrices of their own. */
const laidOut = ({ T, D, F, E, k }: Sizes): number =>
  Math.min(E, T * k, Math.max(1, Math.floor(MOST_NUMBERS / (3 * D * F))));

/** Draws each row's k experts, best first, `[T, k]`: by a score that all rows share plus one of the row's own. */
function chosenBy(draw: Draw, T: number, E: number, k: number): Float32Array {
  const common = draw.weights(E, SHARED_SCORE);
  const ids = new Float32Array(T * k);
  for (let t = 0; t < T; t++) {
    const scores = draw.weights(E, 1).map((own, expert) => own + common[expert]);
    const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]);
    ids.set(order.slice(0, k), t * k);
  }
  return ids;
}

/** Replaces the ids of the chosen experts by 0, 1, 2 ..., in the same order. */
function renumbered(ids: Float32Array): Float32Array {
  const places = new Map([...new Set(ids)].sort((a, b) => a - b).map((id, place) => [id, place]));
  return ids.map((id) => places.get(id)!);
}

const known = new WeakMap<OpCall['matrices'], Expert[]>();

/** The experts of a layer, made once: making them is not part of the op. */
function layersOf(biases: Readonly<Record<string, Tensor>>, { sizes, matrices, compute }: OpCall): Expert[] {
  const made = known.get(matrices);
  if (made !== undefined) return made;
  const { F, D, E } = sizes;
  const count = Object.keys(matrices).length / 2;
  const layer = (name: string, i: number, rows: readonly number[]): Linear => ({
    weight: matrices[`${name}${i}`],
    bias: biasOf(biases[`${name}Bias${i}`]),
    sizes: rows,
    compute,
  });
  const own = Array.from({ length: count }, (_, i) => ({
    gateUp: layer('gateUp', i, [F, F]),
    down: layer('down', i, [D]),
  }));
  const all = Array.from({ length: E }, (_, expert) => own[expert % count]);
  known.set(matrices, all);
  return all;
}

function biasOf(values: Tensor | undefined): Parameter | undefined {
  if (values === undefined) return undefined;
  const parameter = new Parameter('bias', values.shape, 'f32');
  parameter.fill(values);
  return parameter;
}
