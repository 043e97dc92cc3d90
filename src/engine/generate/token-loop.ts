import { type Budgeted, expectWithinBudget } from '../../hooks/capture-cost.ts';
import type { Measures } from '../../hooks/measurer.ts';
import type { Observers } from '../../hooks/observers.ts';
import type { Activations, Layers } from '../../hooks/activations.ts';
import type { Decoder } from '../../model/parts/decoder.ts';
import type { WeightRequest } from '../../model/weights/weight-request.ts';
import { nextTurn } from '../../platform/event-loop.ts';
import { describeBroken } from '../../sampling/logits.ts';
import type { Backend } from '../../tensor/backend.ts';
import type { Compute } from '../../tensor/compute.ts';
import { observe } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { explainNonFinite } from '../explain-non-finite.ts';
import { drainAsync, type Interruption, type Pass, PREFILL_CHUNK, runPass, runPassAsync } from '../passes.ts';
import type { Sequence, SequenceToken } from './sequence.ts';

/**
 * One new token, and the text that it made certain.
 *
 * @template Captured The names and globs that are captured. Default: any, and `acts` is not used.
 */
export type GeneratedToken<Captured extends string = never> = SequenceToken &
  TokenCaptures<Captured> &
  Partial<Measures>;

/**
 * The captures of the pass that led to a token. Freed when the next token is asked for. Absent where nothing is captured or edited.
 */
type TokenCaptures<Captured extends string> = [Captured] extends [never]
  ? { readonly acts?: Layers<never> }
  : string extends Captured
    ? { readonly acts?: Activations }
    : { readonly acts: Activations<Captured> };

/** A sequence to be generated to its end, and what runs its passes. */
export interface Generation {
  readonly network: Decoder;
  readonly requests: readonly WeightRequest[];
  readonly backend: Backend;
  readonly sequence: Sequence;
  readonly observers: Observers | undefined;
  /** What the captures of each pass are held to. */
  readonly budgeted: Budgeted;
  readonly signal: Interruption;
  readonly compute: Compute | undefined;
}

/** The token loop: runs the prompt, then chooses, yields and runs one token after the other. */
export async function* generateTokens(generation: Generation): AsyncGenerator<GeneratedToken<string>, void, undefined> {
  const { sequence, observers, signal } = generation;
  let logits = await prefill(generation).catch((error: unknown) => {
    sequence.cache.takeBack(sequence.promptStart); // A second attempt would read half a prompt twice.
    throw error;
  });
  for (;;) {
    const token = observe(observers?.all ?? [], () => sequence.accept(logits));
    const acts = observers?.recorder.take();
    try {
      yield { ...token, ...(acts && { acts }), ...observers?.measurer.take() };
    } finally {
      for (const tensor of Object.values<Tensor>(acts ?? {})) tensor.dispose();
    }
    if (token.finishReason !== undefined) return;
    await nextTurn();
    signal.throwIfAborted();
    expectFits(generation);
    logits = await readLogits(generation, runPass(nextPass(generation)));
  }
}

/** The last row of logits of the prompt, `[V]`. What is captured in its chunks is recorded as one activation. */
async function prefill(generation: Generation): Promise<Float32Array> {
  const { sequence, observers, signal } = generation;
  // An edit sees the whole prompt at once; captures must not change how it is computed.
  const limit = passEditor(generation) ? Infinity : PREFILL_CHUNK;
  expectFits(generation);
  for (;;) {
    signal.throwIfAborted();
    const from = sequence.cache.length;
    const logits = await runPassAsync(nextPass(generation, limit), signal);
    if (sequence.pending === 0) return readLogits(generation, logits);
    observers?.recorder.endChunk(sequence.cache.length - from);
    logits.dispose();
  }
}

/** @throws {BudgetError} where the captures of the pending tokens would take more than the budget. */
function expectFits({ budgeted, sequence }: Generation): void {
  expectWithinBudget(budgeted, [{ positions: sequence.pending, keys: sequence.tokens.length, logitRows: 1 }]);
}

/** The edits, if some act in forward passes. */
const passEditor = ({ observers }: Generation) => (observers?.editor?.actsInPasses ? observers.editor : undefined);

function nextPass(generation: Generation, limit?: number): Pass {
  const { network, backend, sequence, observers, compute } = generation;
  const editor = passEditor(generation);
  return {
    network,
    backend,
    sequences: [sequence.nextPass(limit)],
    rows: 'last',
    index: sequence.tokens.length - sequence.promptEnd,
    observers: observers?.all,
    compute,
    recomputeObservers: editor && [editor],
  };
}

/** @throws {NonFiniteLogitsError} that names the first activation that is not finite, where no token can be chosen. */
async function readLogits(generation: Generation, row: Tensor): Promise<Float32Array> {
  const logits = row.data();
  row.dispose();
  const broken = describeBroken(logits);
  if (broken === undefined) return logits;
  const { sequence, signal } = generation;
  const { cache, promptStart, promptEnd } = sequence;
  const editor = passEditor(generation);
  const edits = editor && { editor, from: promptStart, promptEnd };
  throw await drainAsync(explainNonFinite('generate', broken, { ...generation, tokens: cache.tokens, edits }), signal);
}
