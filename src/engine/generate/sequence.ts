import type { KvCache } from '../../model/cache/kv-cache.ts';
import type { NewTokens } from '../../model/parts/step.ts';
import { createRandom, drawSeed, type Random } from '../../sampling/random.ts';
import type { Backend } from '../../tensor/backend.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { Answer, type AnswerStep } from './answer.ts';
import { chooseToken, type ChosenToken } from './choose-token.ts';
import type { ResolvedOptions } from './generate-options.ts';

/** One new token, and the text that it made certain. */
export interface SequenceToken extends AnswerStep, ChosenToken {}

/** The start of a sequence, and its settings. */
export interface SequenceOptions {
  /** Tokens that are not in the cache yet; at least one. */
  readonly prompt: readonly number[];
  /** The tokens before the prompt; it stays its owner's. */
  readonly cache: KvCache;
  readonly options: ResolvedOptions;
  /** Absent: tokens have no text. */
  readonly tokenizer: Tokenizer | undefined;
  /** Whether the new text goes on with the prompt's, rather than answering it; undefined where the tokens tell. */
  readonly continuesText: boolean | undefined;
  /** Tokens that the text can have at most. */
  readonly maxLength: number;
  readonly backend: Backend;
}

/**
 * A text that a model goes on with: its tokens, cache, sampler, stop conditions and channels. It runs nothing itself: a
 * loop, or a scheduler of many sequences, runs the passes that `nextPass` describes and gives the logits to `accept` as
 * soon as no token is pending, until a token has a `finishReason`.
 */
export class Sequence {
  readonly cache: KvCache;
  /** Tokens in the cache before the prompt. */
  readonly promptStart: number;
  /** Tokens with the prompt. */
  readonly promptEnd: number;
  readonly #tokens: number[];
  readonly #settings: SequenceOptions;
  readonly #random: Random;
  readonly #answer: Answer;
  #chosen = 0;

  constructor(settings: SequenceOptions) {
    const { prompt, cache, options, tokenizer, continuesText } = settings;
    this.#settings = settings;
    this.cache = cache;
    this.#tokens = [...cache.tokens, ...prompt];
    this.promptStart = cache.length;
    this.promptEnd = this.#tokens.length;
    this.#random = createRandom(options.sampling.seed ?? drawSeed());
    this.#answer = new Answer(tokenizer, this.#tokens, options, continuesText);
  }

  /** All tokens: those of the cache, the prompt, and those that were chosen. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** Tokens that no pass has computed yet. With none, the logits of the last pass choose the next one. */
  get pending(): number {
    return this.#tokens.length - this.cache.length;
  }

  /** The next pass: the pending tokens, or the first `limit` of them. */
  nextPass(limit = Infinity): NewTokens {
    const from = this.cache.length;
    const tokens = Int32Array.from(this.#tokens.slice(from, from + limit));
    return { tokens, cache: this.cache, textLength: this.promptEnd };
  }

  /**
   * Chooses the next token by the logits `[V]` after the last one; it is then pending, unless it ended the text.
   *
   * @throws {NonFiniteLogitsError} for logits that no token can be chosen by.
   */
  accept(logits: Float32Array): SequenceToken {
    const { options, backend, maxLength } = this.#settings;
    const { sampling, logprobs, maxTokens } = options;
    const chosen = chooseToken(logits, { sampling, logprobs, history: this.#tokens, random: this.#random, backend });
    const isLast = ++this.#chosen === maxTokens || this.#tokens.length >= maxLength;
    this.#tokens.push(chosen.token);
    return { ...chosen, ...this.#answer.push(chosen.token, isLast) };
  }
}
