import type { Checked } from '../../hooks/hook-types.ts';
import type { Hooks } from '../../hooks/observers.ts';
import { checkArgument, type Checks, checkOptions, listOf } from '../../options.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { HOOK_CHECKS } from '../generate/generate-options.ts';
import { RUN_CHECKS, type RunOptions } from '../run/run-options.ts';

/** What `gradients` takes the gradients of, and where. */
export interface GradientOptions<
  At extends string = string,
  Captured extends string = string,
  Edited extends string = string,
>
  extends Hooks<Captured, Edited>, Pick<RunOptions, 'rows'> {
  /**
   * Makes one number of the logits, `[T, V]` or the `rows` asked for, by methods of tensors: numbers that were read with
   * `data()` are constant.
   */
  readonly of: (logits: Tensor) => Tensor;
  /** Names or globs of the hooks at whose activations the gradients are taken. */
  readonly at: readonly (At & Checked<At>)[];
}

const CHECKS: Checks<GradientOptions> = {
  ...HOOK_CHECKS,
  rows: RUN_CHECKS.rows,
  of: { words: 'a function that makes one number of the logits', holds: (value) => typeof value === 'function' },
  at: listOf('names or globs of hooks', (value) => typeof value === 'string'),
};

/** @throws {OptionError} for a wrong option, and for a missing one of the two that are needed. */
export function checkGradientOptions(options: GradientOptions): void {
  checkOptions('gradients', options, CHECKS);
  checkArgument('gradients', 'of', options.of, CHECKS.of);
  checkArgument('gradients', 'at', options.at, CHECKS.at);
}
