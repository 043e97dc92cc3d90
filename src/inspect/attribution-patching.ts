import type { Gradients } from '../engine/gradients/gradients.ts';
import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { HookError } from '../hooks/hook-error.ts';
import { scope } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { measured } from './metric.ts';
import { pairOf } from './prompt-pair.ts';

/** What attribution patching estimates, and where. */
export interface AttributionOptions {
  /** The prompt whose activations would be put in. */
  readonly clean: Prompt;
  /** The prompt that runs, of as many tokens. */
  readonly corrupt: Prompt;
  /** Makes one number of the logits after the last token, `[1, V]`, by methods of tensors. */
  readonly of: (logits: Tensor) => Tensor;
  /**
   * Hooks of blocks: by the head where they have heads, else by the position. Default: `hook_resid_pre`, `hook_attn_out`,
   * `hook_mlp_out` and `attn.hook_z`.
   */
  readonly hooks?: readonly string[] | undefined;
}

/** An estimate for every place of a hook. */
export interface AttributionGrid {
  /** By how much the number would change with that activation of the clean prompt; row-major. */
  readonly values: Float32Array;
  readonly shape: readonly [layers: number, columns: number];
  readonly columns: 'position' | 'head';
}

/** The number of both prompts, and the estimates by hook. */
export interface Attribution {
  readonly clean: number;
  readonly corrupt: number;
  readonly grids: Readonly<Record<string, AttributionGrid>>;
}

const DEFAULT_HOOKS = ['hook_resid_pre', 'hook_attn_out', 'hook_mlp_out', 'attn.hook_z'];

/**
 * Attribution patching (Nanda, 2023): the first-order estimate of activation patching at all places at once, from one pass over
 * the clean prompt and the gradients of one pass over the corrupt one: the sum of `(clean - corrupt activation) * gradient` over
 * the features of a position, or over the positions and features of a head. It is poor where the number bends between the two
 * activations, as it does for the residual stream of early layers.
 *
 * @throws {VitrineError} for prompts of different lengths.
 * @throws {HookError} for hooks that the blocks do not have, or that have neither positions nor heads.
 */
export function attributionPatching(model: Model, options: AttributionOptions): Attribution {
  const { of, hooks = DEFAULT_HOOKS } = options;
  const at = hooks.map((hook) => `blocks.*.${hook}`);
  const { cleanTokens, tokens } = pairOf(model, 'attributionPatching', options);
  using source = model.run(cleanTokens, { capture: at, rows: 'last' });
  using gradients = model.gradients(tokens, { of, at, capture: at, rows: 'last' });
  return scope('', () => ({
    clean: measured(of, source.logits),
    corrupt: gradients.value,
    grids: Object.fromEntries(
      hooks.map((hook, i) => [hook, gridOf(axesOf(model, hook), at[i], source.acts[at[i]], gradients)]),
    ),
  }));
}

/** The axes of a hook of blocks, without that of the layers. */
function axesOf(model: Model, hook: string): string[] {
  const points = [...model.hookPoints.values()];
  const axes = points.find(({ name }) => name.replace(/^blocks\.\d+\./, '') === hook)!.axes.split(' ');
  if (axes[0] === 'p') return axes;
  throw new HookError(
    `attributionPatching: expected a hook with a row for each position, got ${hook} (axes ${axes.join(' ')}).`,
  );
}

function gridOf(axes: readonly string[], key: string, clean: Tensor, { grads, acts }: Gradients): AttributionGrid {
  const [gradient, corrupt] = [grads[key], acts[key]]; // [L, T, ...]
  const hasHeads = axes[1] === 'h' || axes[1] === 'g';
  const terms = clean.sub(corrupt).mul(gradient);
  const [L, T] = terms.shape;
  const columns = hasHeads ? terms.shape[2] : T;
  const byPlace = terms.reshape([L, T, hasHeads ? columns : 1, -1]).sum(3); //             [L, T, columns or 1]
  const sums = hasHeads ? byPlace.reshape([L, T, columns]).sum(1) : byPlace;
  return { values: sums.data(), shape: [L, columns], columns: hasHeads ? 'head' : 'position' };
}
