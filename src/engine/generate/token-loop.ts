import { randomInt } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Editor } from '../../hooks/editor.ts';
import { HookError } from '../../hooks/hook-error.ts';
import type { Activations, Recorder } from '../../hooks/recorder.ts';
import type { KvCache } from '../../model/cache/kv-cache.ts';
import type { Decoder } from '../../model/parts/decoder.ts';
import { adjustLogits } from '../../sampling/adjust.ts';
import { describeBroken, logprobOf, topLogprobs } from '../../sampling/logits.ts';
import { createRandom, type Random, sampleFrom } from '../../sampling/random.ts';
import { truncatedProbabilities } from '../../sampling/truncate.ts';
import type { Backend } from '../../tensor/backend.ts';
import { observe, scope, tap, watched } from '../../tensor/scope.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { drainAsync, type Pass, PREFILL_CHUNK, runPass, runPassAsync } from '../passes.ts';
import type { ResolvedOptions } from './generate-options.ts';
import { Answer, type AnswerStep } from './answer.ts';
import { type BrokenText, explainNonFinite } from '../explain-non-finite.ts';

/** One new token, and the text that it made certain. */
export interface GeneratedToken extends AnswerStep {
  readonly token: number;
  /** Of the token, by the model itself: before penalties, temperature and truncation. */
  readonly logprob: number;
  /** The most likely tokens, if `logprobs` asks for them. */
  readonly topLogprobs?: readonly { token: number; logprob: number }[];
  /** What `capture` asks for, of the pass that led to this token. Freed when the next token is asked for. */
  readonly acts?: Activations;
}

export interface Generation {
  readonly network: Decoder;
  readonly requests: BrokenText['requests'];
  readonly backend: Backend;
  readonly tokenizer: Tokenizer | undefined;
  readonly prompt: readonly number[];
  /** Whether the new text goes on with the prompt's, rather than answering it; undefined where the tokens tell. */
  readonly goesOn: boolean | undefined;
  readonly options: ResolvedOptions;
  readonly cache: KvCache;
  /** Tokens that a text can have at most. */
  readonly maxLength: number;
  readonly recorder: Recorder | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The token loop: prompt, then choose, yield, and run the chosen token. */
export async function* generateTokens(generation: Generation): AsyncGenerator<GeneratedToken, void, undefined> {
  const { options, cache, tokenizer, signal } = generation;
  if (options.maxTokens === 0) return;
  const history = [...cache.tokens, ...generation.prompt];
  const random = createRandom(options.sampling.seed ?? randomInt(2 ** 47));
  const answer = new Answer(tokenizer, history, options, generation.goesOn);
  const promptAt = cache.length;
  const prompted = async (): Promise<Float32Array> => readLogits(generation, await prefill(generation), promptAt);
  let logits = await prompted().catch((error: unknown) => {
    cache.takeBack(promptAt); // Half a prompt in a cache would be read twice by whoever tries again.
    throw error;
  });
  for (let count = 1; ; count++) {
    const { token, acts } = choose(generation, logits, history, random);
    history.push(token);
    const step = answer.push(token, count === options.maxTokens || cache.length >= generation.maxLength);
    try {
      yield {
        token,
        ...step,
        logprob: logprobOf(token, logits),
        ...(options.logprobs > 0 && { topLogprobs: topLogprobs(logits, options.logprobs) }),
        ...(acts && { acts }),
      };
    } finally {
      for (const tensor of Object.values(acts ?? {})) tensor.dispose();
    }
    if (step.finishReason !== undefined) return;
    await setImmediate();
    signal?.throwIfAborted();
    logits = await readLogits(generation, runPass(passOver(generation, [token])), promptAt);
  }
}

/** The last row of logits of the prompt. What is captured in its chunks is shown as one. */
async function prefill(generation: Generation): Promise<Tensor> {
  const { prompt, recorder, signal } = generation;
  const length = generation.cache.length + prompt.length;
  // An edit is to see the whole prompt at once; who only looks must not change how it is computed.
  const chunk = passEditor(generation) ? prompt.length : PREFILL_CHUNK;
  for (let from = 0; ; from += chunk) {
    signal?.throwIfAborted();
    const part = prompt.slice(from, from + chunk);
    const logits = await runPassAsync(passOver(generation, part, length), signal);
    if (from + chunk >= prompt.length) return logits;
    recorder?.endPart(part.length);
    logits.dispose();
  }
}

/** The edits, if some act in forward passes. */
const passEditor = ({ recorder }: Generation): Editor | undefined =>
  recorder?.editor?.actsInPasses ? recorder.editor : undefined;

function passOver(generation: Generation, tokens: readonly number[], textLength?: number): Pass {
  const { network, backend, cache, recorder } = generation;
  const sequences = [{ tokens: Int32Array.from(tokens), cache, textLength }];
  return { network, backend, sequences, logits: 'last', observer: recorder, again: passEditor(generation) };
}

/** @throws NonFiniteLogitsError that names the first activation that is not finite, where no token can be chosen. */
async function readLogits(generation: Generation, row: Tensor, promptAt: number): Promise<Float32Array> {
  const logits = row.data();
  row.dispose();
  const broken = describeBroken(logits);
  if (broken === undefined) return logits;
  const { cache, prompt, signal } = generation;
  const editor = passEditor(generation);
  const edits = editor && { editor, from: promptAt, promptEnd: promptAt + prompt.length };
  throw await drainAsync(explainNonFinite('generate', broken, { ...generation, tokens: cache.tokens, edits }), signal);
}

/** Chooses the next token; the sampler's taps show and change each stage for those who listen. */
function choose(
  { backend, options: { sampling }, recorder }: Generation,
  logits: Float32Array,
  history: readonly number[],
  random: Random,
): { token: number; acts: Activations | undefined } {
  return observe(recorder, () => {
    const adjusted = tapRow(backend, 'sampler.hook_logits', adjustLogits(logits, sampling, history), describeBroken);
    const truncated = truncatedProbabilities(adjusted, sampling);
    const probabilities = tapRow(backend, 'sampler.hook_probs', truncated, describeImpossible);
    const drawn = sampleFrom(probabilities, random);
    const [token] = tapRow(backend, 'sampler.hook_token', Int32Array.of(drawn));
    return { token, acts: recorder?.take() };
  });
}

/**
 * A tap on host numbers: they become a tensor only when somebody listens.
 *
 * @param describeFault What makes an edit useless.
 */
function tapRow<A extends Float32Array | Int32Array>(
  backend: Backend,
  name: string,
  values: A,
  describeFault: (edited: A) => string | undefined = () => undefined,
): A {
  if (!watched(name)) return values;
  return scope('', () => {
    const shape = values instanceof Float32Array ? [1, values.length] : [values.length];
    const shown = Tensor.from(backend, values, shape);
    const used = tap(name, shown);
    if (used === shown) return values;
    const edited = used.integers() as A;
    const fault = describeFault(edited);
    if (fault !== undefined) throw new HookError(`edit of ${name}: no token can be chosen by it: ${fault}.`);
    return edited;
  });
}

function describeImpossible(probabilities: Float32Array): string | undefined {
  const bad = probabilities.findIndex((p) => !(p >= 0 && p < Infinity));
  if (bad >= 0) return `the probability of token ${bad} is ${probabilities[bad]}`;
  return probabilities.some((p) => p > 0) ? undefined : 'every probability is 0';
}
