import { scope } from '../scope.ts';
import { derive, inSequence, tap, watched } from '../tap.ts';
import type { HookPoint } from '../hook-point.ts';
import type { Invariant } from '../invariant.ts';
import { concat, Tensor } from '../tensor.ts';
import { denseWeight, type Linear } from './linear.ts';
import { cutBlocks, joinBlocks, type QueryBlock, queryBlocks } from './query-blocks.ts';
import { pick, slotOrder } from './slot-order.ts';

/**
 * The keys and values of one sequence, to which rows `begin` to `end` (exclusive) of a forward pass attend.
 *
 * The S columns are the slots of a cache, in its own order, some perhaps empty; `mask` says which of them a query sees.
 */
export interface KeyValues {
  readonly begin: number;
  readonly end: number;
  /** `[K, S, d]` */
  readonly keys: Tensor;
  /** `[K, S, dv]`; the same tensor as `keys` where a cache holds both in one store. */
  readonly values: Tensor;
  /** `[T, S]`, added to the scores: 0 where visible, -Infinity elsewhere. Absent when every query sees every slot. */
  readonly mask: Tensor | undefined;
  /** The absolute position in each slot, -1 for an empty one. */
  readonly positions: Int32Array;
}

/** How `attention` scores keys and mixes values. */
export interface AttentionOptions {
  /** Factor on `q . k`; `d ** -0.5` in most models. */
  readonly scale: number;
  /** Bounds the scaled scores by `cap * tanh(score / cap)`, before the mask. Default: no bound. */
  readonly softCap?: number | undefined;
  /** `[H]`: a logit per head that takes part in the softmax and has no value (gpt-oss). Default: none. */
  readonly sinks?: Tensor | undefined;
  /** How many numbers of each value are mixed, from the first on. Default: all. */
  readonly valueDim?: number | undefined;
}

/**
 * Scaled dot-product attention (Vaswani et al., 2017) with grouped queries: query head h reads key head
 * `floor(h / (H / K))`. `q` is `[T, H, d]`; the result is `[T, H, dv]`, f32.
 *
 * Taps: `attn.hook_attn_scores` and `attn.hook_pattern` `[H, T, S]`, where S counts the absolute key positions 0, 1, ...;
 * `attn.hook_entropy` `[H, T]`, of each row of the pattern, in nats. With sinks: `attn.hook_sink_logit` `[H]`, and
 * `attn.hook_sink_prob` `[H, T]`, the probability of the sink: with it, a row of the pattern sums to 1.
 */
export function attention(q: Tensor, sequences: readonly KeyValues[], options: AttentionOptions): Tensor {
  return scope('', () => {
    if (sequences.length === 1) return attend(q, sequences[0], options);
    const parts = sequences.map((sequence, i) => {
      const rows = q.slice([sequence.begin, 0, 0], [sequence.end - sequence.begin, -1, -1]);
      return inSequence(i, () => attend(rows, sequence, options));
    });
    return concat(parts);
  });
}

/** The hook points of `attention`, in their order. */
export const attentionHooks = ({ hasSinks }: { readonly hasSinks: boolean }): HookPoint[] => [
  ...(hasSinks ? [SINK_LOGIT] : []),
  {
    name: 'attn.hook_attn_scores',
    axes: 'h p t',
    meaning: 'scaled scores, -Infinity where masked',
    hidden: -Infinity,
  },
  ...(hasSinks ? [SINK_PROBABILITY] : []),
  { name: 'attn.hook_pattern', axes: 'h p t', meaning: 'attention probabilities' },
  {
    name: 'attn.hook_entropy',
    axes: 'h p',
    meaning: 'entropy of each row of the pattern, nats',
    derived: true,
    readOnly: { instead: ['attn.hook_pattern'] },
  },
];

/** What holds between the hook points of `attention`. `window`: keys that a query sees, itself included. */
export const attentionInvariants = ({
  hasSinks,
  window,
}: {
  readonly hasSinks: boolean;
  readonly window: number;
}): Invariant[] => [
  {
    formula: `attn.hook_pattern = 0 at keys after the query${window < Infinity ? ' and before the window' : ''}`,
    hooks: ['attn.hook_pattern'],
    tolerance: 0,
    sides: (value) => {
      const pattern = value('attn.hook_pattern'); //                               [H, T, positions]
      return [pattern.mul(hiddenKeys(pattern, window)), pattern.mul(0)];
    },
  },
  {
    formula: `sum of attn.hook_pattern over keys${hasSinks ? ' + attn.hook_sink_prob' : ''} = 1`,
    hooks: ['attn.hook_pattern', ...(hasSinks ? ['attn.hook_sink_prob'] : [])],
    tolerance: 1e-5,
    sides: (value) => {
      const pattern = value('attn.hook_pattern');
      const seen = pattern.sum(-1); //                                             [H, T]
      const total = hasSinks ? seen.add(value('attn.hook_sink_prob')) : seen;
      return [total, total.mul(0).add(1)];
    },
  },
];

/** The invariant that a pattern mixes what a cache holds, `[positions, K, d]` or `[positions, d]`: `[T, H, d]`. */
export const mixtureInvariant = (mixed: string, values: string): Invariant => ({
  formula: `${mixed} = attn.hook_pattern times ${values}`,
  hooks: [mixed, 'attn.hook_pattern', values],
  tolerance: 1e-4,
  sides: (value) => {
    const [stored, pattern] = [value(values), value('attn.hook_pattern')];
    const [H, T, S] = pattern.shape;
    const d = stored.shape.at(-1)!;
    const byHead = stored.reshape([S, -1, d]).transpose([1, 0, 2]); //             [K, positions, d]
    const grouped = pattern.reshape([byHead.shape[0], -1, S]).matmul(byHead); //   [K, G T, d]
    return [value(mixed), grouped.reshape([H, T, d]).transpose([1, 0, 2])];
  },
});

/** 1 at keys that a query does not see, else 0: `[T, positions]`. */
function hiddenKeys({ backend, shape: [, T, S] }: Tensor, window: number): Tensor {
  const hidden = Float32Array.from({ length: T * S }, (_, i) => {
    const [query, key] = [S - T + Math.floor(i / S), i % S];
    return key > query || key <= query - window ? 1 : 0;
  });
  return Tensor.from(backend, hidden, [T, S]);
}

const SINK_LOGIT: HookPoint = {
  name: 'attn.hook_sink_logit',
  axes: 'h',
  meaning: "each head's logit for attending to nothing, -Infinity for none",
  only: 'layers with attention sinks',
  hidden: -Infinity,
};
const SINK_PROBABILITY: HookPoint = {
  name: 'attn.hook_sink_prob',
  axes: 'h p',
  meaning: 'what each row of the pattern lacks to 1',
  only: 'layers with attention sinks',
  derived: true,
  readOnly: { instead: ['attn.hook_sink_logit', 'attn.hook_pattern'] },
};

/** The taps that show numbers of all queries. */
const TAPS = ['attn.hook_attn_scores', 'attn.hook_pattern', 'attn.hook_entropy', 'attn.hook_sink_prob'];

function attend(q: Tensor, sequence: KeyValues, settings: AttentionOptions): Tensor {
  const [T, H] = q.shape;
  return scope('', () => {
    const sinks = settings.sinks && tap('attn.hook_sink_logit', settings.sinks); // [H]
    const options = { ...settings, sinks };
    const blocks = queryBlocks(T, H, sequence.positions);
    // Each block frees its scores before the next one; observers see the scores of all blocks as one tensor.
    const groups = TAPS.some(watched) ? [blocks] : blocks.map((block) => [block]);
    const parts = groups.flatMap((group) => scope('', () => attendBlocks(q, group, sequence, options)));
    return parts.length === 1 ? parts[0] : concat(parts); // [T, H, dv]
  });
}

/** The mixed values of consecutive blocks of queries, `[rows, H, dv]` each. */
function attendBlocks(
  q: Tensor,
  blocks: readonly QueryBlock[],
  sequence: KeyValues,
  options: AttentionOptions,
): Tensor[] {
  const { positions } = sequence;
  const scored = blocks.map((block) => ({ block, numbers: scoresOf(q, block, sequence, options) }));
  const scores = tapByPosition('attn.hook_attn_scores', scored, positions, -Infinity);
  const likely = scores.map(({ block, numbers }) => ({ block, ...probabilities(numbers, options.sinks) }));
  const joinRows = (parts: readonly Tensor[]): Tensor => concat(parts, 1);
  if (options.sinks) derive('attn.hook_sink_prob', () => joinRows(likely.map(({ sink }) => sink!))); //    [H, T]
  const patterns = tapByPosition('attn.hook_pattern', likely, positions, 0);
  derive('attn.hook_entropy', () => joinRows(patterns.map(({ numbers }) => entropy(numbers)))); //        [H, T]
  return patterns.map(({ block, numbers }) => mixOf(numbers, block, sequence, options));
}

/** The scores of a block, scaled, bounded and masked: `[H, rows, columns]`. */
function scoresOf(
  q: Tensor,
  { begin, end, columns }: QueryBlock,
  { keys, mask }: KeyValues,
  { scale, softCap }: AttentionOptions,
): Tensor {
  const [T, H, d] = q.shape;
  const [K, S] = keys.shape;
  const n = end - begin;
  const G = H / K;
  return scope('', () => {
    const rows = n === T ? q : q.slice([begin, 0, 0], [n, -1, -1]);
    const grouped = rows
      .mul(scale)
      .reshape([n, K, G, d])
      .transpose([1, 2, 0, 3])
      .reshape([K, G * n, d]); // [K, Gn, d]
    const dots = grouped.matmul(firstColumns(keys, columns), { transposeB: true }).reshape([H, n, columns]); // [H, n, S]
    const capped = softCap === undefined ? dots : dots.div(softCap).tanh().mul(softCap);
    if (mask === undefined) return capped;
    return capped.add(n === T && columns === S ? mask : mask.slice([begin, 0], [n, columns]));
  });
}

/** `pattern` `[H, rows, columns]` times the values: `[rows, H, dv]`. */
function mixOf(pattern: Tensor, { columns }: QueryBlock, { values }: KeyValues, options: AttentionOptions): Tensor {
  const [H, n] = pattern.shape;
  const [K, , dv] = values.shape;
  const G = H / K;
  const { valueDim = dv } = options;
  return scope('', () => {
    const mixed = pattern.reshape([K, G * n, columns]).matmul(firstColumns(values, columns)); // [K, Gn, dv]
    const wanted = valueDim === dv ? mixed : mixed.slice([0, 0, 0], [-1, -1, valueDim]);
    return wanted.reshape([K, G, n, valueDim]).transpose([2, 0, 1, 3]).reshape([n, H, valueDim]); // [n, H, dv]
  });
}

const firstColumns = (store: Tensor, columns: number): Tensor =>
  columns === store.shape[1] ? store : store.slice([0, 0, 0], [-1, columns, -1]);

/** Softmax of `[H, rows, columns]`. A sink is one more column of it, and is given apart: `[H, rows]`. */
function probabilities(scores: Tensor, sinks: Tensor | undefined): { numbers: Tensor; sink?: Tensor } {
  if (sinks === undefined) return { numbers: scores.softmax() };
  const [H, n, S] = scores.shape;
  return scope('', () => {
    const column = Tensor.from(scores.backend, new Float32Array(H * n), [H, n, 1]).add(sinks.reshape([H, 1, 1]));
    const [numbers, sink] = concat([scores, column], 2).softmax().split([S, 1]); // [H, n, S], [H, n, 1]
    return { numbers, sink: sink.reshape([H, n]) };
  });
}

/** `-sum(p ln p)` over the keys: `[H, rows]`, in nats. */
function entropy(pattern: Tensor): Tensor {
  // p ln p is 0 at p = 0, where ln gives -Infinity: adding the smallest normal f32 avoids that
  // (TensorFlow flushes smaller numbers to 0).
  return pattern
    .mul(pattern.add(2 ** -126).log())
    .sum(-1)
    .neg();
}

interface Piece {
  readonly block: QueryBlock;
  /** `[H, rows, columns]` */
  readonly numbers: Tensor;
}

/** Shows the pieces to observers as one `[H, T, positions]`, and puts an edit of it back into the order of the slots. */
function tapByPosition(name: string, pieces: readonly Piece[], positions: Int32Array, empty: number): readonly Piece[] {
  if (!watched(name)) return pieces;
  const blocks = pieces.map(({ block }) => block);
  const { slotOf, positionOf } = slotOrder(positions);
  const bySlot = joinBlocks(
    pieces.map(({ numbers }) => numbers),
    positions.length,
    empty,
  ); // [H, T, S]
  const shown = pick(bySlot, slotOf, 2, empty); //                                            [H, T, positions]
  const used = tap(name, shown);
  if (used === shown) return pieces;
  const edited = pick(used, positionOf, 2, empty); //                                         [H, T, S]
  const cut = cutBlocks(edited, blocks, empty);
  if (cut !== undefined) return cut.map((numbers, i) => ({ block: blocks[i], numbers }));
  return [{ block: { begin: 0, end: edited.shape[1], columns: positions.length }, numbers: edited }];
}

/** What each head adds to the residual stream: `z` `[T, H, dv]` times its own columns of W_O, `[T, H, D]`, f32. */
export function headResults(z: Tensor, output: Linear): Tensor {
  const [, H, dv] = z.shape;
  const [D] = output.weight.shape;
  return scope('', () => {
    const perHead = denseWeight(output).reshape([D, H, dv]).transpose([1, 0, 2]); // [H, D, dv]
    return z.transpose([1, 0, 2]).matmul(perHead, { transposeB: true }).transpose([1, 0, 2]); //   [T, H, D]
  });
}
