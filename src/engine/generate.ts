import { randomInt } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { NanFinder } from '../inspect/first-nan.ts';
import type { Activations, Recorder } from '../inspect/recorder.ts';
import { KvCache } from '../model/cache.ts';
import type { Decoder } from '../model/parts/decoder.ts';
import { adjustLogits } from '../model/sampling/adjust.ts';
import { firstNaN, logprobOf, NonFiniteLogitsError, topLogprobs } from '../model/sampling/logits.ts';
import { createRandom, type Random, sampleFrom } from '../model/sampling/random.ts';
import { truncatedProbabilities } from '../model/sampling/truncate.ts';
import type { Backend } from '../tensor/backend.ts';
import { observe, scope, tap, watched } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { PREFILL_CHUNK, runPass, runPassAsync } from './drive.ts';
import type { ResolvedOptions } from './generate-options.ts';
import { Answer, type AnswerStep } from './answer.ts';

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
  readonly backend: Backend;
  readonly tokenizer: Tokenizer | undefined;
  readonly prompt: readonly number[];
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
  const answer = new Answer(tokenizer, history, options);
  const held = cache.length;
  let logits = await prefill(generation).catch((error: unknown) => {
    cache.takeBack(held); // Half a prompt in a cache would be read twice by whoever tries again.
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
    logits = readLogits(generation, runPass(passOver(generation, [token])));
  }
}

async function prefill(generation: Generation): Promise<Float32Array> {
  const { prompt, recorder, signal } = generation;
  // A captured activation is of the whole prompt, so then it goes in one piece.
  const length = generation.cache.length + prompt.length;
  const chunk = recorder ? prompt.length : PREFILL_CHUNK;
  for (let from = 0; ; from += chunk) {
    signal?.throwIfAborted();
    const logits = await runPassAsync(passOver(generation, prompt.slice(from, from + chunk), length), signal);
    if (from + chunk >= prompt.length) return readLogits(generation, logits);
    logits.dispose();
  }
}

const passOver = (
  { network, backend, cache, recorder }: Generation,
  tokens: readonly number[],
  textLength?: number,
) => ({
  network,
  backend,
  sequences: [{ tokens: Int32Array.from(tokens), cache, textLength }],
  logits: 'last' as const,
  observer: recorder,
});

/** @throws NonFiniteLogitsError that names the first layer with a NaN. */
function readLogits(generation: Generation, row: Tensor): Float32Array {
  const logits = row.data();
  row.dispose();
  const bad = firstNaN(logits);
  if (bad < 0) return logits;
  const { network, backend, cache, recorder } = generation;
  const tokens = Int32Array.from(cache.tokens);
  const finder = new NanFinder(recorder);
  const fresh = new KvCache(backend, network.cacheLayout);
  try {
    runPass({ network, backend, sequences: [{ tokens, cache: fresh }], logits: 'last', observer: finder }).dispose();
  } finally {
    fresh.dispose();
    recorder?.discard();
  }
  throw new NonFiniteLogitsError(
    `generate: the logits after ${cache.length} tokens are NaN (first at token ${bad}), first seen in ` +
      `${finder.found ?? 'hook_logits'}. Look at the weights of that layer, or at an edit before it.`,
  );
}

/** Chooses the next token; the sampler's taps show and change each stage for those who listen. */
function choose(
  { backend, options: { sampling }, recorder }: Generation,
  logits: Float32Array,
  history: readonly number[],
  random: Random,
): { token: number; acts: Activations | undefined } {
  return observe(recorder, () => {
    const adjusted = tapRow(backend, 'sampler.hook_logits', adjustLogits(logits, sampling, history));
    const probabilities = tapRow(backend, 'sampler.hook_probs', truncatedProbabilities(adjusted, sampling));
    const drawn = sampleFrom(probabilities, random);
    const [token] = tapRow(backend, 'sampler.hook_token', Int32Array.of(drawn));
    return { token, acts: recorder?.take() };
  });
}

/** A tap on host numbers: they become a tensor only when somebody listens. */
function tapRow<A extends Float32Array | Int32Array>(backend: Backend, name: string, values: A): A {
  if (!watched(name)) return values;
  return scope('', () => {
    const shape = values instanceof Float32Array ? [1, values.length] : [values.length];
    return tap(name, Tensor.from(backend, values, shape)).integers() as A;
  });
}
