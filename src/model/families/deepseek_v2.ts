import type { Json } from '../../json.ts';
import { above, atLeastOne, expectOnly, fields } from '../config/config-fields.ts';
import type { Decoder } from '../parts/decoder.ts';
import type { NetworkOptions } from './architecture.ts';
import { deepseek } from './deepseek_v3.ts';
import type { Weights } from '../weights/weights.ts';

/**
 * DeepSeek-V2 and V2-Lite (arXiv 2405.04434): the same network as V3, whose experts are chosen by a softmax over all, in
 * the groups that have the best expert. As in transformers, weights are not normalised.
 */
export function deepseekV2(raw: Json, weights: Weights, options: NetworkOptions): Decoder {
  const read = fields(raw);
  expectOnly(raw, 'scoring_func', ['softmax']);
  expectOnly(raw, 'topk_method', ['greedy', 'group_limited_greedy']);
  expectOnly(raw, 'norm_topk_prob', [false]);
  expectOnly(raw, 'rope_interleave', [true]);
  expectOnly(raw, 'mlp_bias', [false]);
  const groups = {
    groups: read.integer('n_group', atLeastOne) ?? 1,
    kept: read.integer('topk_group', atLeastOne) ?? 1,
  };
  return deepseek(raw, weights, options, {
    defaults: { maxPositions: 2048, queryRank: 1536, experts: 64, shared: 2, perToken: 6, expertDim: 1407, dense: 0 },
    biased: false,
    interleaved: true,
    choice: {
      scores: 'softmax',
      groups: raw.topk_method === 'group_limited_greedy' ? { ...groups, best: 1 } : undefined,
      scale: read.number('routed_scaling_factor', above(0)) ?? 1,
    },
  });
}
