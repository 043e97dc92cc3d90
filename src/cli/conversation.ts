import type { GeneratedToken } from '../engine/generate/token-loop.ts';
import type { GenerateOptions } from '../engine/generate/generate-options.ts';
import type { Model } from '../engine/model.ts';
import { PrefixCache } from '../engine/prefix-cache.ts';
import { type ChannelSpan, isReasoning, joinSpans } from '../tokenizer/channels/spans.ts';
import type { ChatMessage, TemplateVariables } from '../tokenizer/chat-template.ts';

/** A conversation with a model. Its cache lives through all turns, so that each token is computed once. */
export class Conversation {
  readonly #model: Model;
  readonly #system: readonly ChatMessage[];
  readonly #variables: TemplateVariables;
  #messages: ChatMessage[];
  readonly #cache: PrefixCache;

  /** @param variables Of the chat template, such as `enable_thinking`. */
  constructor(model: Model, system?: string, variables: TemplateVariables = {}) {
    this.#model = model;
    this.#variables = variables;
    this.#system = system === undefined ? [] : [{ role: 'system', content: system }];
    this.#messages = [...this.#system];
    this.#cache = new PrefixCache(() => model.newCache());
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Forgets everything but the system message. */
  reset(): void {
    this.#messages = [...this.#system];
    this.#cache.clear();
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

  /** An answer as the chat template takes it back: what was thought stands where the template looks for it. */
  #messageOf(answer: readonly GeneratedToken[]): ChatMessage {
    if (answer[0].spans === undefined) return { role: 'assistant', content: answer.map(({ text }) => text).join('') };
    const spans = joinSpans(answer.flatMap((token) => token.spans ?? []));
    const said = (wanted: (span: ChannelSpan) => boolean): string =>
      spans.filter(wanted).map(({ content }) => content).join(''); // prettier-ignore
    const reasoning = said(isReasoning);
    const content = said((span) => span.recipient === undefined && !isReasoning(span));
    const { channelFormat, templateReadsReasoning } = this.#model.tokenizer;
    if (channelFormat === 'think' && !templateReadsReasoning) {
      return { role: 'assistant', content: reasoning === '' ? content : `<think>${reasoning}</think>${content}` };
    }
    // With `<think>`, calls are spelled in the content.
    const calls = channelFormat === 'harmony' ? answer.at(-1)!.toolCalls : undefined;
    // Without a field of its own, such templates look for reasoning before a tag that the answer may spell.
    const hasTag = channelFormat === 'think' && content.includes('</think>');
    return {
      role: 'assistant',
      content: channelFormat === 'think' ? content.replace(/^\n+/, '') : content,
      ...((reasoning !== '' || hasTag) && { reasoning_content: reasoning }),
      ...(calls && { tool_calls: calls.map((call) => ({ type: 'function', function: call })) }),
    };
  }

  dispose(): void {
    this.#cache.dispose();
  }
}
