import type { GeneratedToken } from '../engine/generate/token-loop.ts';
import type { GenerateOptions } from '../engine/generate/generate-options.ts';
import type { Model } from '../engine/model.ts';
import { PrefixCache } from '../engine/prefix-cache.ts';
import { type ChannelSpan, isReasoning, joinSpans } from '../tokenizer/channels/spans.ts';
import type { ChatMessage, TemplateVariables } from '../tokenizer/chat-template.ts';

/** A conversation with a model. It keeps one KV cache for all turns, so that each token is computed once. Call `dispose`. */
export class Conversation {
  readonly #model: Model;
  readonly #system: readonly ChatMessage[];
  readonly #variables: TemplateVariables;
  #messages: ChatMessage[];
  readonly #cache: PrefixCache;

  /** @param variables Variables of the chat template, such as `enable_thinking`. */
  constructor(model: Model, system?: string, variables: TemplateVariables = {}) {
    this.#model = model;
    this.#variables = variables;
    this.#system = system === undefined ? [] : [{ role: 'system', content: system }];
    this.#messages = [...this.#system];
    this.#cache = new PrefixCache(() => model.newCache());
  }

  /** The system message, if there is one, and all turns so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Removes all messages but the system message. */
  reset(): void {
    this.#messages = [...this.#system];
    this.#cache.clear();
  }

  /**
   * Adds a message of the user and generates the answer, token by token. An interrupted answer is kept up to there; a turn without
   * an answer is removed.
   *
   * @param onPrompt Called with the number of the conversation's tokens that are not in the cache yet.
   */
  async *say(
    content: string,
    options: GenerateOptions,
    onPrompt: (tokens: number) => void = () => undefined,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const messages = [...this.#messages, { role: 'user', content }];
    const { tokens } = this.#model.renderChat(messages, { ...this.#variables, addGenerationPrompt: true });
    const cache = this.#cache.reuse(tokens);
    const rest = tokens.slice(cache.length);
    onPrompt(rest.length);
    const answer: GeneratedToken[] = [];
    try {
      for await (const token of this.#model.generate(rest, { ...options, cache })) {
        answer.push(token);
        yield token;
      }
    } finally {
      if (answer.length > 0) this.#messages = [...messages, this.#messageOf(answer)];
    }
  }

  /** An answer as a message for the chat template, with the reasoning where the template reads it. */
  #messageOf(answer: readonly GeneratedToken[]): ChatMessage {
    if (answer[0].spans === undefined) return { role: 'assistant', content: answer.map(({ text }) => text).join('') };
    const spans = joinSpans(answer.flatMap((token) => token.spans ?? []));
    const textOf = (wanted: (span: ChannelSpan) => boolean): string =>
      spans
        .filter(wanted)
        .map(({ content }) => content)
        .join('');
    const reasoning = textOf(isReasoning);
    const content = textOf((span) => span.recipient === undefined && !isReasoning(span));
    const { channelFormat, templateReadsReasoning } = this.#model.tokenizer;
    if (channelFormat === 'think' && !templateReadsReasoning) {
      return { role: 'assistant', content: reasoning === '' ? content : `<think>${reasoning}</think>${content}` };
    }
    // In the `think` format, tool calls are part of the content.
    const calls = channelFormat === 'harmony' ? answer.at(-1)!.toolCalls : undefined;
    // Without reasoning_content, such templates take the text before a `</think>` in the answer for reasoning.
    const hasTag = channelFormat === 'think' && content.includes('</think>');
    return {
      role: 'assistant',
      content: channelFormat === 'think' ? content.replace(/^\n+/, '') : content,
      ...((reasoning !== '' || hasTag) && { reasoning_content: reasoning }),
      ...(calls && { tool_calls: calls.map((call) => ({ type: 'function', function: call })) }),
    };
  }

  /** Frees the KV cache. */
  dispose(): void {
    this.#cache.dispose();
  }
}
