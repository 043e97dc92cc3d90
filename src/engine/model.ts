import type { ModelFiles } from '../loader/checkpoint.ts';
import { type Activations, type Hooks, Recorder } from '../inspect/recorder.ts';
import { hooksOf } from '../inspect/model-hooks.ts';
import { KvCache } from '../model/cache.ts';
import type { DecoderConfig } from '../model/decoder-config.ts';
import { describeBroken, logprobOf } from '../model/sampling/logits.ts';
import type { Sequence } from '../model/step.ts';
import type { Backend } from '../tensor/backend.ts';
import { DisposedError, VitrineError } from '../tensor/errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ChatMessage, TemplateVariables } from '../tokenizer/template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { drain, type Pass, runPass } from './drive.ts';
import { endIds } from './end-of-text.ts';
import { generateTokens, type GeneratedToken } from './generate.ts';
import { type GenerateOptions, resolveOptions } from './generate-options.ts';
import type { LoadedNetwork } from './load-network.ts';
import { explainNonFinite } from './non-finite.ts';

/** A text, token ids, or a conversation (rendered by the model's chat template, with the start of an answer). */
export type Prompt = string | readonly number[] | readonly ChatMessage[];

export interface ForwardOptions {
  /** The tokens before; it then holds the new ones too. Default: none, and nothing is kept. */
  readonly cache?: KvCache | undefined;
  /** Rows of the result. Default `last`. */
  readonly logits?: 'last' | 'all' | undefined;
}

/** What `run` gives; `dispose()` frees it all. */
export interface Run {
  /** `[T, V]` f32 */
  readonly logits: Tensor;
  readonly acts: Activations;
  readonly dispose: () => void;
  readonly [Symbol.dispose]: () => void;
}

/** How well a model expects a text; in nats. */
export interface Score {
  /** `-sum log p(token | tokens before)` over all tokens but the first. */
  readonly nll: number;
  /** `exp(nll / tokens scored)` */
  readonly perplexity: number;
  /** Of each token but the first, `[T - 1]`. */
  readonly logprobs: Float32Array;
}

/** Rows of logits that are held at a time while scoring. */
const SCORE_CHUNK = 128;

/** A loaded model. Its owner disposes of it. */
export class Model {
  readonly config: DecoderConfig;
  readonly backend: Backend;
  /** The model's config.json and generation_config.json, as they are, and what there is to know of its files. */
  readonly files: Pick<ModelFiles, 'source' | 'config' | 'generationConfig' | 'notes'>;
  readonly weightBytes: number;
  readonly #loaded: LoadedNetwork;
  readonly #tokenizer: Tokenizer | undefined;
  #disposed = false;

  constructor(files: ModelFiles, backend: Backend, loaded: LoadedNetwork, tokenizer: Tokenizer | undefined) {
    this.files = files;
    this.backend = backend;
    this.config = loaded.network.config;
    this.weightBytes = loaded.weightBytes;
    this.#loaded = loaded;
    this.#tokenizer = tokenizer;
  }

  /** Tokens that a text can have: what was learned or fits into memory; Infinity where nothing sets a bound. */
  get maxLength(): number {
    return Math.min(this.#loaded.network.maxLength, this.#loaded.maxLength);
  }

  /** @throws VitrineError where the model came without a tokenizer. */
  get tokenizer(): Tokenizer {
    if (this.#tokenizer === undefined)
      throw new VitrineError(`${this.files.source} has no tokenizer.json: give token ids instead of text.`);
    return this.#tokenizer;
  }

  /** The names of all hook points that `run` can capture and edit. */
  get hooks(): string[] {
    return [...hooksOf(this.config).keys()];
  }

  /** The text and tokens of a conversation by the model's chat template; `addGenerationPrompt` begins an answer. */
  renderChat(messages: readonly ChatMessage[], variables: TemplateVariables = {}): { text: string; tokens: number[] } {
    return this.tokenizer.renderChat(messages, variables);
  }

  newCache(): KvCache {
    return new KvCache(this.backend, this.#network().cacheLayout);
  }

  /**
   * The logits after `tokens`: `[1, V]`, or `[T, V]` for `logits: 'all'`; f32. Synchronous.
   *
   * @throws VitrineError for no tokens, or ids outside of the vocabulary.
   */
  forward(tokens: ArrayLike<number>, { cache, logits = 'last' }: ForwardOptions = {}): Tensor {
    return this.#withCache(cache, (used) =>
      runPass(this.#pass([{ tokens: this.#checked(tokens), cache: used }], logits)),
    );
  }

  /** The last row of logits of several sequences, of any lengths, in one pass: `[sequences, V]`. */
  forwardBatch(sequences: readonly { tokens: ArrayLike<number>; cache?: KvCache }[]): Tensor {
    if (sequences.length === 0) throw new VitrineError('forwardBatch: expected at least one sequence.');
    if (new Set(sequences.map(({ cache }) => cache ?? Symbol())).size !== sequences.length)
      throw new VitrineError('forwardBatch: two sequences share a cache. Give each its own, with cache.fork().');
    const owned: KvCache[] = [];
    try {
      const checked = sequences.map(({ tokens, cache }) => {
        if (cache === undefined) owned.push(this.newCache());
        return { tokens: this.#checked(tokens), cache: cache ?? owned.at(-1)! };
      });
      return runPass(this.#pass(checked, 'last'));
    } finally {
      for (const cache of owned) cache.dispose();
    }
  }

  /**
   * One forward pass that captures and edits activations by hook name or glob. Captures are keyed by the names asked for;
   * a glob over layers gives one tensor with a leading layer axis. The logits are of all rows, finite or not.
   *
   * @throws HookError for a name that the model does not have, with the nearest ones; for an edit that could change
   *   nothing, with the hook to edit instead; and for what an edit gives back, if it does not fit.
   */
  run(prompt: Prompt, { cache, capture, edit }: Hooks & Pick<ForwardOptions, 'cache'> = {}): Run {
    const recorder = new Recorder({ capture, edit }, hooksOf(this.config));
    const tokens = this.#checked(this.tokensOf(prompt));
    try {
      const logits = this.#withCache(cache, (used) =>
        runPass({ ...this.#pass([{ tokens, cache: used }], 'all'), observer: recorder, again: recorder.editor }),
      );
      const acts = takeOrFree(recorder, logits);
      const dispose = (): void => {
        for (const tensor of [logits, ...Object.values(acts)]) tensor.dispose();
      };
      return { logits, acts, dispose, [Symbol.dispose]: dispose };
    } finally {
      recorder.discard();
    }
  }

  /**
   * Generates token by token. The event loop breathes between tokens, and between the layers of a long prompt.
   * Captures change no bit. Edits that act in the pass see the prompt whole, so that it is not computed in chunks.
   *
   * @throws NonFiniteLogitsError for logits that no token can be chosen by, naming the first activation that is not
   *   finite; HookError as `run` does; the signal's reason on abort.
   */
  async *generate(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<GeneratedToken, void, undefined> {
    const { capture, edit, signal } = options;
    const ends = endIds({ ...this.files, tokenizer: this.#tokenizer });
    const { generationConfig } = this.files;
    const resolved = resolveOptions(options, { generationConfig, vocabSize: this.config.vocabSize, ends });
    const tokens = this.#checked(this.tokensOf(prompt));
    const tokenizer = resolved.stopStrings.length > 0 ? this.tokenizer : this.#tokenizer;
    const listens = capture !== undefined || edit !== undefined;
    const recorder = listens ? new Recorder({ capture, edit }, hooksOf(this.config, { sampler: true })) : undefined;
    this.#expectRoom((options.cache?.length ?? 0) + tokens.length);
    const cache = options.cache ?? this.newCache();
    try {
      yield* generateTokens({
        network: this.#network(),
        requests: this.#loaded.requests,
        backend: this.backend,
        tokenizer,
        prompt: [...tokens],
        goesOn: typeof prompt === 'string' ? true : isTokens(prompt) ? undefined : false,
        options: resolved,
        cache,
        maxLength: this.maxLength,
        recorder,
        signal,
      });
    } finally {
      recorder?.discard();
      if (options.cache === undefined) cache.dispose();
    }
  }

  /**
   * How well the model expects a text (with the tokens its tokenizer puts around it) or token ids.
   *
   * @throws NonFiniteLogitsError as `generate` does.
   */
  score(prompt: string | readonly number[]): Score {
    const tokens = this.#checked(this.tokensOf(prompt));
    const logprobs = new Float32Array(Math.max(0, tokens.length - 1));
    this.#withCache(undefined, (cache) => {
      for (let from = 0; from < logprobs.length; from += SCORE_CHUNK) {
        const chunk = tokens.subarray(from, Math.min(from + SCORE_CHUNK, logprobs.length));
        const logits = runPass(this.#pass([{ tokens: chunk, cache, textLength: tokens.length }], 'all')); // [rows, V]
        const values = logits.data();
        logits.dispose();
        const V = this.config.vocabSize;
        chunk.forEach((_, row) => {
          const rowLogits = values.subarray(row * V, (row + 1) * V);
          const broken = describeBroken(rowLogits);
          if (broken !== undefined)
            throw this.#explained('score', broken, tokens.subarray(0, from + chunk.length), from + row + 1);
          logprobs[from + row] = logprobOf(tokens[from + row + 1], rowLogits);
        });
      }
    });
    const nll = -logprobs.reduce((sum, logprob) => sum + logprob, 0);
    return { nll, perplexity: Math.exp(nll / logprobs.length), logprobs };
  }

  /** The token ids of a prompt. */
  tokensOf(prompt: Prompt): readonly number[] {
    if (typeof prompt === 'string') return this.tokenizer.encode(prompt);
    if (isTokens(prompt)) return prompt;
    return this.renderChat(prompt, { addGenerationPrompt: true }).tokens;
  }

  /** Frees the weights. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#loaded.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #network(): LoadedNetwork['network'] {
    if (this.#disposed) throw new DisposedError(`${this.files.source}: the model was disposed of. Load it again.`);
    return this.#loaded.network;
  }

  #pass(sequences: readonly Sequence[], logits: 'last' | 'all'): Pass {
    for (const { tokens, cache } of sequences) this.#expectRoom(cache.length + tokens.length);
    return { network: this.#network(), backend: this.backend, sequences, logits };
  }

  #explained(operation: string, broken: string, tokens: Int32Array, after: number): Error {
    const { network, requests } = this.#loaded;
    return drain(
      explainNonFinite(operation, broken, { network, requests, backend: this.backend, tokens: [...tokens], after }),
    );
  }

  /** Learned positions are the network's own matter. */
  #expectRoom(length: number): void {
    const { maxLength } = this.#loaded;
    if (length <= maxLength) return;
    throw new VitrineError(
      `the text would have ${length} tokens, and ${this.files.source} was loaded for at most ${maxLength}. ` +
        'Shorten it, or load the model with a larger context (--context).',
    );
  }

  #withCache<R>(cache: KvCache | undefined, body: (cache: KvCache) => R): R {
    if (cache !== undefined) return body(cache);
    const own = this.newCache();
    try {
      return body(own);
    } finally {
      own.dispose();
    }
  }

  #checked(tokens: ArrayLike<number>): Int32Array {
    const { vocabSize } = this.config;
    if (tokens.length === 0) throw new VitrineError('the prompt is empty: expected at least one token.');
    const bad = Array.prototype.findIndex.call(
      tokens,
      (id: number) => !Number.isInteger(id) || id < 0 || id >= vocabSize,
    );
    if (bad >= 0)
      throw new VitrineError(
        `token ${bad} of the prompt is ${tokens[bad]}: expected an id from 0 to ${vocabSize - 1}.`,
      );
    return Int32Array.from(tokens);
  }
}

const isTokens = (prompt: Exclude<Prompt, string>): prompt is readonly number[] =>
  prompt.every((item) => typeof item === 'number');

/** What was captured; where it cannot be given, the logits are freed. */
function takeOrFree(recorder: Recorder, logits: Tensor): Activations {
  try {
    return recorder.take();
  } catch (error) {
    logits.dispose();
    throw error;
  }
}
