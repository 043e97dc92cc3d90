import type { Model } from '../engine/model.ts';
import { type Prompt, PROMPTS } from '../engine/prompt.ts';
import type { Edit } from '../hooks/editor.ts';
import { checkArgument, checkOptions, type Checks, instanceOf, NAME, numbers } from '../options.ts';
import { ShapeError } from '../errors.ts';
import { scope } from '../tensor/scope.ts';
import { show } from '../tensor/shape.ts';
import { Tensor } from '../tensor/tensor.ts';

/** Two sets of prompts, and the hook at which they are compared. */
export interface SteeringOptions {
  /** Prompts with what the model is to be steered towards; at least one. */
  readonly towards: readonly Prompt[];
  /** Prompts with the opposite, or without it; at least one. */
  readonly away: readonly Prompt[];
  /** A hook with a row for each position, such as `blocks.12.hook_resid_pre`. */
  readonly hook: string;
}

const CHECKS: Checks<SteeringOptions> = { towards: PROMPTS, away: PROMPTS, hook: NAME };

/**
 * The mean of a hook at the last positions of `towards` less that of `away` (Turner et al., "Activation Addition", arXiv
 * 2308.10248; with means over several prompts, Rimsky et al., arXiv 2312.06681). `steering` adds it to a pass.
 *
 * @returns One row of the hook, such as `[D]`; f32. The caller disposes of it.
 * @throws {HookError} for a hook that the model does not have.
 * @throws {OptionError} for an empty set.
 */
export function steeringVector(model: Model, options: SteeringOptions): Tensor {
  checkOptions('steeringVector', options, CHECKS);
  const { towards, away, hook } = options;
  for (const [name, set] of Object.entries({ towards, away })) checkArgument('steeringVector', name, set, PROMPTS);
  return scope('', () => {
    const mean = (prompts: readonly Prompt[]): Tensor =>
      prompts
        .map((prompt) => lastRow(model, prompt, hook))
        .reduce((sum, row) => sum.add(row))
        .div(prompts.length);
    return mean(towards).sub(mean(away));
  });
}

function lastRow(model: Model, prompt: Prompt, hook: string): Tensor {
  const { acts, dispose } = model.run(prompt, { capture: [hook], until: hook });
  try {
    const { shape } = acts[hook];
    const width = shape.slice(1);
    return acts[hook].slice([shape[0] - 1, ...width.map(() => 0)], [1, ...width]).reshape(width);
  } finally {
    dispose();
  }
}

/**
 * An edit that adds `coefficient * vector` to every position; in `generate`, to those of the new tokens too.
 *
 * ```ts
 * const vector = steeringVector(model, { towards: ['I love this'], away: ['I hate this'], hook });
 * const run = model.run(prompt, { edit: { [hook]: steering(vector, 2) } });
 * ```
 * @param vector `[D]`, or whatever a row of the hook is.
 */
export function steering(vector: Tensor, coefficient = 1): Edit {
  checkArgument('steering', 'the vector', vector, instanceOf(Tensor, 'a tensor'));
  checkArgument('steering', 'the coefficient', coefficient, numbers('a finite number', Number.isFinite));
  return (value) => {
    const row = value.shape.slice(1);
    if (row.length !== vector.shape.length || row.some((size, axis) => size !== vector.shape[axis]))
      throw new ShapeError(`steering: expected a vector ${show(row)}, got ${show(vector.shape)}.`);
    return scope('', () => value.add(vector.mul(coefficient)));
  };
}
