import { ChannelParser, markersOf } from '../tokenizer/channels/parser.ts';
import { beginsMessage, type ChannelSpan, joinSpans } from '../tokenizer/channels/spans.ts';
import type { TokenStream } from '../tokenizer/stream.ts';
import { parseToolCalls, type ToolCall } from '../tokenizer/tool-calls.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { ResolvedOptions } from './generate-options.ts';
import { StopStrings } from './stop-strings.ts';

/** What became certain with a token. */
export interface AnswerStep {
  /** Text to append: '' while a character, or what may be a stop string or a tag, is incomplete. */
  readonly text: string;
  /**
   * Of a model that tells what it thinks from what it says: the channel that the text belongs to. harmony: `analysis`,
   * `commentary`, `final`; `<think>` tags: `reasoning`, `final`. The format's own tags and headers are not in the text.
   */
  readonly channel?: string;
  /** The text with all that is known of its channel; several where this token ended one and began another. */
  readonly spans?: readonly ChannelSpan[];
  /** On the last token: the tools that the answer calls, if any. */
  readonly toolCalls?: readonly ToolCall[];
  /** On the last token: `stop` for an end-of-text token or a stop string, `length` for `maxTokens` or where no text may be longer. */
  readonly finishReason?: 'stop' | 'length';
}

/** Of a model without channels. */
const PLAIN = 'final';

/**
 * Turns new tokens into text: decodes them, tells the channels of the model's format apart, and ends at stop strings,
 * which are looked for within a message. Markers of the format count where they come as tokens; text that only looks like
 * a special token is text.
 */
export class Answer {
  readonly #tokenizer: Tokenizer | undefined;
  readonly #decoded: TokenStream | undefined;
  readonly #parser: ChannelParser | undefined;
  /** Markers by token. */
  readonly #markers: ReadonlyMap<number, string>;
  /** Whether markers are tokens only, so that text holds none. */
  readonly #textIsPlain: boolean;
  readonly #stopIds: ReadonlySet<number>;
  readonly #stops: StopStrings;
  readonly #tokens: number[] = [];
  /** The message that stop strings are looked for in. */
  #message: ChannelSpan | undefined;
  #all: ChannelSpan[] = [];

  /** @param before All tokens before the answer: they may have opened a channel. */
  constructor(
    tokenizer: Tokenizer | undefined,
    before: readonly number[],
    { stopIds, stopStrings }: Pick<ResolvedOptions, 'stopIds' | 'stopStrings'>,
  ) {
    // prettier-ignore
    const format = tokenizer?.channelFormat;
    this.#tokenizer = tokenizer;
    this.#decoded = tokenizer?.stream({ skipSpecialTokens: true });
    this.#textIsPlain = format === 'harmony';
    this.#markers = new Map(
      (format ? markersOf(format) : []).flatMap((marker) => {
        const id = tokenizer!.idOf(marker);
        return id !== undefined && tokenizer!.addedIds.has(id) ? [[id, marker] as const] : [];
      }),
    );
    if (format) this.#parser = new ChannelParser(format, { open: this.#openChannel(before) });
    this.#stopIds = stopIds;
    this.#stops = new StopStrings(stopStrings);
  }

  /** @param isLast Whether no token may follow. */
  push(token: number, isLast: boolean): AnswerStep {
    const ended = this.#stopIds.has(token);
    this.#tokens.push(token);
    let { spans, stopped } = this.#certain(ended ? [] : this.#read(token));
    if ((ended || isLast) && !stopped) {
      const rest = this.#certain(this.#rest());
      spans = [...spans, ...rest.spans, ...this.#held()];
      stopped = rest.stopped;
    }
    const finishReason = ended || stopped ? 'stop' : isLast ? 'length' : undefined;
    this.#all.push(...spans);
    const toolCalls = finishReason ? this.#toolCalls() : [];
    const channel = spans.at(-1)?.channel ?? this.#parser?.open;
    return {
      text: spans.map(({ content }) => content).join(''),
      ...(this.#parser && { spans, ...(channel !== undefined && { channel }) }),
      ...(toolCalls.length > 0 && { toolCalls }),
      ...(finishReason && { finishReason }),
    };
  }

  #read(token: number): ChannelSpan[] {
    const marker = this.#markers.get(token);
    if (marker !== undefined) return this.#parser!.pushMarker(marker);
    return this.#parse(this.#decoded?.push(token) ?? '');
  }

  #parse(text: string): ChannelSpan[] {
    if (!this.#parser) return text === '' ? [] : [{ channel: PLAIN, content: text }];
    return this.#textIsPlain ? this.#parser.pushText(text) : this.#parser.push(text);
  }

  /** What decoder and parser held back. */
  #rest(): ChannelSpan[] {
    return [...this.#parse(this.#decoded?.end() ?? ''), ...(this.#parser?.end() ?? [])];
  }

  /** Text that is in no stop string, up to the first one. */
  #certain(spans: readonly ChannelSpan[]): { spans: ChannelSpan[]; stopped: boolean } {
    const certain: ChannelSpan[] = [];
    for (const span of spans) {
      if (this.#message && beginsMessage(span, this.#message)) certain.push(...this.#held());
      this.#message = span;
      const { text, stopped } = this.#stops.push(span.content);
      if (text !== '' || (this.#parser && span.content === '')) certain.push({ ...span, content: text });
      if (stopped !== undefined) return { spans: certain, stopped: true };
    }
    return { spans: certain, stopped: false };
  }

  /** What may have been a stop string, and is none, because its message is over. */
  #held(): ChannelSpan[] {
    const { text } = this.#stops.end();
    return text === '' || !this.#message ? [] : [{ ...this.#message, content: text }];
  }

  /** The channel that the text before the answer leaves open: since the last token that stands between messages. */
  #openChannel(before: readonly number[]): string | undefined {
    const { addedIds, channelFormat } = this.#tokenizer!;
    const start = this.#tokenizer!.idOf('<|start|>');
    const isBorder = (token: number): boolean =>
      channelFormat === 'harmony' ? token === start : addedIds.has(token) && !this.#markers.has(token);
    const parser = new ChannelParser(channelFormat!);
    parser.push(this.#tokenizer!.decode(before.slice(Math.max(0, before.findLastIndex(isBorder)))));
    return parser.open;
  }

  #toolCalls(): ToolCall[] {
    if (this.#textIsPlain) return parseToolCalls(joinSpans(this.#all));
    return this.#tokenizer?.templateReads('tools') ? parseToolCalls(this.#tokenizer.decode(this.#tokens)) : [];
  }
}
