import type { SettingsOf, TapedOp } from '../tape.ts';
import { BINARY_RULES, UNARY_RULES } from './elementwise.ts';
import { castRule, concatRule, gatherRule, reshapeRule, sliceRule, splitRule, transposeRule } from './movement.ts';
import { MATMUL_RULES } from './products.ts';
import { REDUCE_RULES, softmaxRule } from './reductions.ts';
import type { Rule } from './rule.ts';

/** The rules of every primitive: one for each operand; where there are more operands than rules, the last is theirs. */
export const RULES: { readonly [O in TapedOp]: readonly Rule<SettingsOf<O>>[] } = {
  ...BINARY_RULES,
  ...UNARY_RULES,
  ...REDUCE_RULES,
  softmax: [softmaxRule],
  matmul: MATMUL_RULES,
  reshape: [reshapeRule],
  transpose: [transposeRule],
  slice: [sliceRule],
  gather: [gatherRule],
  concat: [concatRule],
  split: [splitRule],
  cast: [castRule],
};
