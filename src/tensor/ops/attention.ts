import { derive, scope, tap, watched } from '../scope.ts';
import { concat, Tensor } from '../tensor.ts';
import { denseWeight, type Linear } from './linear.ts';
import { pick, slotOrder } from './slot-order.ts';

/**
 * What the rows `begin..end` of a forward attend to: the keys and values of their sequence.
 *
 * The S columns are a cache's slots, in its own order, some perhaps empty; `mask` says which a query may see.
 */
export interface KeyValues {
  readonly begin: number;
  readonly end: number;
  /** `[K, S, d]` */
  readonly keys: Tensor;
  /** `[K, S, dv]`, or `keys` once more where a cache holds both in one store. */
  readonly values: Tensor;
  /** `[T, S]`, added to the scores: 0 where visible, -Infinity elsewhere. Absent when every query sees every slot. */
  readonly mask: Tensor | undefined;
  /** The absolute position in each slot, -1 for an empty one. */
  readonly positions: Int32Array;
}

export interface AttentionOptions {
  /** Factor on `q . k`; `d ** -0.5` in most models. */
  readonly scale: number;
  /** `cap * tanh(score / cap)` bounds the scaled scores, before the mask. Default: they are not bounded. */
  readonly softCap?: number | undefined;
  /** `[H]`, a logit for each head that takes part in the softmax and brings no value (gpt-oss). Default: none. */
  readonly sinks?: Tensor | undefined;
  /** Only the first so many numbers of each value are mixed. Default: all. */
  readonly valueDim?: number | undefined;
}

/**
 * Scaled dot-product attention (Vaswani et al., 2017) with grouped queries: query head h reads key head
 * `floor(h / (H / K))`. `q` is `[T, H, d]`; the result is `[T, H, dv]`, f32.
 *
 * Taps: `attn.hook_attn_scores` and `attn.hook_pattern` `[H, T, S]` with S the absolute key positions 0, 1, ...;
 * `attn.hook_entropy` `[H, T]` in nats. With sinks: `attn.hook_sink_logit` `[H]`, and `attn.hook_sink_prob` `[H, T]`, what
 * the rows of the pattern lack to 1.
 */
export function attention(q: Tensor, sequences: readonly KeyValues[], options: AttentionOptions): Tensor {
  return scope('', () => {
    const sinks = options.sinks && tap('attn.hook_sink_logit', options.sinks); // [H]
    const parts = sequences.map((sequence) => {
      const { begin, end } = sequence;
      const rows = sequences.length === 1 ? q : q.slice([begin, 0, 0], [end - begin, -1, -1]);
      return attend(rows, sequence, { ...options, sinks });
    });
    return parts.length === 1 ? parts[0] : concat(parts);
  });
}

function attend(q: Tensor, { keys, values, mask, positions }: KeyValues, options: AttentionOptions): Tensor {
  const [T, H, d] = q.shape;
  const [K, S, dv] = values.shape;
  const G = H / K;
  const { scale, softCap, sinks, valueDim = dv } = options;
  return scope('', () => {
    const grouped = q
      .mul(scale)
      .reshape([T, K, G, d])
      .transpose([1, 2, 0, 3])
      .reshape([K, G * T, d]); // [K, GT, d]
    const dots = grouped.matmul(keys, { transposeB: true }).reshape([H, T, S]); //                         [H, T, S]
    const capped = softCap === undefined ? dots : dots.div(softCap).tanh().mul(softCap);
    const masked = mask ? capped.add(mask) : capped;
    const scores = tapByPosition('attn.hook_attn_scores', masked, positions, -Infinity);
    const pattern = tapByPosition('attn.hook_pattern', probabilities(scores, sinks), positions, 0);
    derive('attn.hook_entropy', () => entropy(pattern)); //                                                [H, T]
    const mixed = pattern.reshape([K, G * T, S]).matmul(values); //                                        [K, GT, dv]
    const wanted = valueDim === dv ? mixed : mixed.slice([0, 0, 0], [-1, -1, valueDim]);
    return wanted.reshape([K, G, T, valueDim]).transpose([2, 0, 1, 3]).reshape([T, H, valueDim]); //        [T, H, dv]
  });
}

/** Softmax of `[H, T, S]`; a sink is one column more, which is then left out. */
function probabilities(scores: Tensor, sinks: Tensor | undefined): Tensor {
  if (sinks === undefined) return scores.softmax();
  const [H, T, S] = scores.shape;
  const column = Tensor.from(scores.backend, new Float32Array(H * T), [H, T, 1]).add(sinks.reshape([H, 1, 1]));
  const [pattern, sink] = concat([scores, column], 2).softmax().split([S, 1]); // [H, T, S], [H, T, 1]
  derive('attn.hook_sink_prob', () => sink.reshape([H, T]));
  return pattern;
}

/** `-sum p ln p` over the keys, `[H, T]`. */
function entropy(pattern: Tensor): Tensor {
  const [H, T] = pattern.shape;
  // p ln p is 0 at p = 0, where ln gives -Infinity: the smallest normal f32 stands in
  // (TensorFlow takes smaller ones for 0).
  return pattern
    .mul(pattern.add(2 ** -126).log())
    .sum()
    .mul(-1)
    .reshape([H, T]);
}

/** Shows `[H, T, slots]` to listeners as `[H, T, positions]`, and takes their edit back into the order of the slots. */
function tapByPosition(name: string, bySlot: Tensor, positions: Int32Array, empty: number): Tensor {
  if (!watched(name)) return bySlot;
  const { slotOf, positionOf } = slotOrder(positions);
  const shown = pick(bySlot, slotOf, 2, empty); // [H, T, positions]
  const used = tap(name, shown);
  return used === shown ? bySlot : pick(used, positionOf, 2, empty); // [H, T, S]
}

/** What each head adds to the residual stream: `z [T, H, dv]` through its own columns of W_O, `[T, H, D]`. */
export function headResults(z: Tensor, output: Linear): Tensor {
  const [, H, dv] = z.shape;
  const [D] = output.weight.shape;
  return scope('', () => {
    const perHead = denseWeight(output).reshape([D, H, dv]).transpose([1, 0, 2]); // [H, D, dv]
    return z.transpose([1, 0, 2]).matmul(perHead, { transposeB: true }).transpose([1, 0, 2]); //   [T, H, D]
  });
}
