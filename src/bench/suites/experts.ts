import { type Expert, experts as apply } from '../../tensor/ops/experts.ts';
import { clampedSwiglu } from '../../tensor/ops/clamped-swiglu.ts';
import type { Linear } from '../../tensor/ops/linear.ts';
import { swiglu } from '../../tensor/ops/swiglu.ts';
import { Parameter } from '../../tensor/parameter.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Draw } from '../inputs.ts';
import { type Call, defineSuite, F32_TOLERANCE, type OperandSpec, type Sizes } from '../suite.ts';

/** Numbers of all experts that are laid out, at most: 1 GB of f32. Beyond, experts share matrices, still far more than a cache. */
const MOST_NUMBERS = 2 ** 28;

/** How much the liking for an expert that all tokens share weighs beside a token's own: trained routers spread their load. */
const COMMON_TASTE = 0.5;

/**
 * The routed part of a mixture: the sum of the answers of k experts for each row, weighed. Letters: T rows, D model width, F
 * width of an expert, E experts, k that a row goes to; `biased` is 1 where they have biases, and `limit` and `alpha` are
 * there where their branches are clamped. Only experts that some row goes to are computed, counted, or laid out.
 *
 * Expert i has the matrices `gateUp${i % M}` `[2F, D]` and `down${i % M}` `[D, F]`, where M is how many there are.
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
      ...(biased ? ([[`gateUpBias${i}`, bias(2 * F)], [`downBias${i}`, bias(D)]] as const) : []), // prettier-ignore
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
  // In bf16 the gate and up branches, what `down` reads, and each expert's answer are rounded, by up to 2^-9 of themselves. These
  // errors add up like a random walk, to a standard deviation of up to 2^-8 of the row; eight of those are allowed.
  bf16Tolerance: { relative: 2 ** -8, ofRow: 2 ** -5, absolute: 2 ** -120 },
});

/** How many experts have matrices of their own. */
const laidOut = ({ T, D, F, E, k }: Sizes): number =>
  Math.min(E, T * k, Math.max(1, Math.floor(MOST_NUMBERS / (3 * D * F))));

/** Each row's k experts, best first, as a router decides: by a liking that all rows share, and one of the row's own. */
function chosenBy(draw: Draw, T: number, E: number, k: number): Float32Array {
  const common = draw.weights(E, COMMON_TASTE);
  const ids = new Float32Array(T * k);
  for (let t = 0; t < T; t++) {
    const scores = draw.weights(E, 1).map((own, expert) => own + common[expert]);
    const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]);
    ids.set(order.slice(0, k), t * k);
  }
  return ids;
}

/** The experts that somebody chose, numbered anew without gaps, in their order. */
function renumbered(ids: Float32Array): Float32Array {
  const places = new Map([...new Set(ids)].sort((a, b) => a - b).map((id, place) => [id, place]));
  return ids.map((id) => places.get(id)!);
}

const known = new WeakMap<Call['matrices'], Expert[]>();

/** The experts of a layer; the same each time, since to make them is not part of the op. */
function layersOf(biases: Readonly<Record<string, Tensor>>, { sizes, matrices, compute }: Call): Expert[] {
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
