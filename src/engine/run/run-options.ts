import type { Checked } from '../../hooks/hook-types.ts';
import type { Hooks } from '../../hooks/observers.ts';
import type { KvCache } from '../../model/cache/kv-cache.ts';
import { type Checks, checkOptions, FLAG, isRecord, listOf, OptionError, TEXT } from '../../options.ts';
import type { Compute } from '../../tensor/compute.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { CACHE, COMPUTE, HOOK_CHECKS } from '../generate/generate-options.ts';
import type { Prompt } from '../prompt.ts';

/** Where a partial pass starts: at a layer instead of with the tokens. */
export interface From {
  /** The first layer that is computed. */
  readonly layer: number;
  /**
   * `[rows, D]` f32: the residual stream before that layer, of the last tokens of the prompt, or of all. It stays its
   * owner's.
   */
  readonly residual: Tensor;
  /**
   * A cache that holds the beginning of the same prompt, as an earlier run of it left it: keys and values of the tokens before
   * the residual's rows. It is only read. Needed where the residual has fewer rows than the prompt has tokens.
   */
  readonly cache?: KvCache | undefined;
}

/** Which part of a pass is computed, and how. */
export interface PassOptions<Until extends string = string> {
  /** Starts at a layer from a residual stream. Default: with the tokens. */
  readonly from?: From | undefined;
  /** The hook at which the pass stops, as soon as its value is there; the run has no logits. Default: it goes to the end. */
  readonly until?: (Until & Checked<Until>) | undefined;
  /**
   * The rows of logits that are computed: the last, all, or those of these tokens of the prompt, 0 for the first and -1 for
   * the last. Default `all`.
   */
  readonly rows?: 'last' | 'all' | readonly number[] | undefined;
  /**
   * The dtype to which operands of matrix products are rounded. Default: that which `load` was asked for, else f32, in which
   * small differences are exact; bf16 is faster where the processor multiplies it.
   */
  readonly compute?: Compute | undefined;
  /**
   * Whether the invariants of the model (`model.invariants`) are checked while the pass runs. It then shows most
   * of its activations and multiplies once more by most weights: on SmolLM2-135M it takes twice as long. Default false.
   */
  readonly checkInvariants?: boolean | undefined;
}

/** How `run` runs a prompt. */
export interface RunOptions<
  Captured extends string = string,
  Edited extends string = string,
  Until extends string = string,
>
  extends Hooks<Captured, Edited>, PassOptions<Until> {
  /** The tokens before the prompt. It then holds the prompt too, unless the pass is partial (`until`). Default: none. */
  readonly cache?: KvCache | undefined;
}

/** One sequence of `runBatch`, where it needs more than its prompt. */
export interface BatchSequence extends Pick<RunOptions, 'cache' | 'from' | 'rows' | 'edit'> {
  readonly prompt: Prompt;
}

/** How `runBatch` runs prompts. */
export interface BatchOptions<
  Captured extends string = string,
  Edited extends string = string,
  Until extends string = string,
>
  extends Hooks<Captured, Edited>, Omit<PassOptions<Until>, 'from'> {
  /**
   * Edits that see the rows of all sequences end to end, before `edit` sees those of each. Attention's scores, patterns and
   * caches are apart in any case. Default: none.
   */
  readonly editBatch?: Hooks['edit'];
}

const FROM = {
  words: 'an object with a layer and a residual, and a cache where the residual lacks rows of the prompt',
  holds: (value: unknown) => isRecord(value) && 'layer' in value && 'residual' in value,
};
const ROWS = {
  words: '"last", "all", or a list of whole numbers',
  holds: (value: unknown) =>
    value === 'last' || value === 'all' || listOf('', (row) => Number.isSafeInteger(row)).holds(value),
};
const PASS_CHECKS = { until: TEXT, rows: ROWS, compute: COMPUTE, checkInvariants: FLAG };

/** The requirement on each option of `run`. */
export const RUN_CHECKS: Checks<RunOptions> = { ...HOOK_CHECKS, ...PASS_CHECKS, from: FROM, cache: CACHE };
/** The requirement on each option of `runBatch`. */
export const BATCH_CHECKS: Checks<BatchOptions> = { ...HOOK_CHECKS, ...PASS_CHECKS, editBatch: HOOK_CHECKS.edit };
const SEQUENCE_CHECKS: Checks<Omit<BatchSequence, 'prompt'>> = {
  cache: CACHE,
  from: FROM,
  rows: ROWS,
  edit: HOOK_CHECKS.edit,
};

/** The sequences of `runBatch` as objects. @throws {OptionError} for a wrong option. */
export function batchSequences(sequences: readonly (Prompt | BatchSequence)[]): BatchSequence[] {
  const listed = listOf('prompts, or objects with a prompt each', () => true);
  if (!listed.holds(sequences) || sequences.length === 0)
    throw new OptionError(`runBatch: expected ${listed.words}, at least one.`);
  return sequences.map((sequence) => {
    if (!isRecord(sequence) || !('prompt' in sequence)) return { prompt: sequence as Prompt };
    const { prompt, ...options } = sequence as BatchSequence;
    checkOptions('runBatch', options, SEQUENCE_CHECKS);
    return { prompt, ...options };
  });
}
