import { scope } from '../scope.ts';
import { tap, watched } from '../tap.ts';
import type { HookPoint } from '../hook-point.ts';
import type { Invariant } from '../invariant.ts';
import type { Tensor } from '../tensor.ts';
import { headResults } from './attention.ts';
import { linear, type Linear } from './linear.ts';

/** The hook points of `attentionOutput`, in their order. */
export const ATTENTION_OUTPUT_HOOKS: readonly HookPoint[] = [
  { name: 'attn.hook_z', axes: 'p h e_v', meaning: 'mixed values, what W_O reads' },
  {
    name: 'attn.hook_result',
    axes: 'p h d',
    meaning: "each head's own part of the output, without the bias; an edit takes their sum",
    derived: true,
  },
  { name: 'attn.hook_out', axes: 'p d', meaning: 'output of W_O' },
];

/** What holds between the hook points of `attentionOutput`. */
export const attentionOutputInvariants = (output: Linear): Invariant[] => [
  {
    formula: `attn.hook_out = sum of attn.hook_result over heads${output.bias ? ' + b_O' : ''}`,
    hooks: ['attn.hook_out', 'attn.hook_result'],
    tolerance: 1e-4,
    sides: (value) => [value('attn.hook_out'), addUp(value('attn.hook_result'), output)],
  },
];

/**
 * The output projection of attention: the mixed values of all heads, `[T, H, dv]`, times W_O: `[T, D]`.
 *
 * Taps: `attn.hook_z` `[T, H, dv]`, the input of W_O; `attn.hook_result` `[T, H, D]`, the part of each head, without the
 * bias (where an edit changes it, the output is its sum over the heads); `attn.hook_out` `[T, D]`.
 */
export function attentionOutput(mixed: Tensor, output: Linear): Tensor {
  const [T, H, dv] = mixed.shape;
  return scope('', () => {
    const z = tap('attn.hook_z', mixed);
    const results = editedResults(z, output); //                                       [T, H, D]
    const sum = results ? addUp(results, output) : linear(z.reshape([T, H * dv]), output);
    return tap('attn.hook_out', sum); //                                               [T, D]
  });
}

/** The parts of the heads, if an edit has changed them. */
function editedResults(z: Tensor, output: Linear): Tensor | undefined {
  if (!watched('attn.hook_result')) return undefined;
  const results = headResults(z, output);
  const used = tap('attn.hook_result', results);
  return used === results ? undefined : used;
}

function addUp(results: Tensor, { bias }: Linear): Tensor {
  const sum = results.sum(1); // [T, D]
  return bias ? sum.add(bias.tensor) : sum;
}
