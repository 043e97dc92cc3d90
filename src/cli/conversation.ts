import type { GeneratedToken } from '../engine/generate.ts';
import type { GenerateOptions } from '../engine/generate-options.ts';
import type { Model } from '../engine/model.ts';
import type { KvCache } from '../model/cache.ts';
import { VitrineError } from '../tensor/errors.ts';
import type { ChatMessage } from '../tokenizer/template.ts';

/** A conversation with a model. Its cache lives through all turns, so that each token is computed once. */
export class Conversation {
  readonly #model: Model;
  readonly #system: readonly ChatMessage[];
  #messages: ChatMessage[];
  #cache: KvCache;

  constructor(model: Model, system?: string) {
    this.#model = model;
    this.#system = system === undefined ? [] : [{ role: 'system', content: system }];
    this.#messages = [...this.#system];
    this.#cache = model.newCache();
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Forgets everything but the system message. */
  reset(): void {
    this.#messages = [...this.#system];
    this.#keep(0);
  }

  /**
   * Says something and gives the answer token by token. An answer that is interrupted stays as far as it came; a turn
   * that brings none is forgotten.
   *
   * @param onPrompt Told how many tokens of the conversation are not in the cache yet.
   */
  async *say(
    content: string,
    options: GenerateOptions,
    onPrompt: (tokens: number) => void = () => undefined,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const messages = [...this.#messages, { role: 'user', content }];
    const { tokens } = this.#model.renderChat(messages, { addGenerationPrompt: true });
    const kept = this.#keep(commonPrefix(this.#cache.tokens, tokens.slice(0, -1)));
    onPrompt(tokens.length - kept);
    let answer = '';
    let isAnswered = false;
    try {
      for await (const token of this.#model.generate(tokens.slice(kept), { ...options, cache: this.#cache })) {
        answer += token.text;
        isAnswered = true;
        yield token;
      }
    } finally {
      if (isAnswered) this.#messages = [...messages, { role: 'assistant', content: answer }];
    }
  }

  dispose(): void {
    this.#cache.dispose();
  }

  /** Cuts the cache to `length` tokens, or to none where a sliding window cannot go back. Returns what is left. */
  #keep(length: number): number {
    try {
      this.#cache.truncate(length);
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      this.#cache.dispose();
      this.#cache = this.#model.newCache();
    }
    return this.#cache.length;
  }
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
