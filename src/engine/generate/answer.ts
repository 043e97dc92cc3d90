import { ChannelParser, markersOf } from '../../tokenizer/channels/channel-parser.ts';
import { beginsMessage, type ChannelSpan, joinSpans } from '../../tokenizer/channels/spans.ts';
import type { TokenStream } from '../../tokenizer/token-stream.ts';
import { parseToolCalls, spelledToolCalls, type ToolCall } from '../../tokenizer/tool-calls.ts';
import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import type { ResolvedOptions } from './generate-options.ts';
import { type Piece, SpecialStops } from './special-stops.ts';
import { StopStrings } from './stop-strings.ts';

/** The text that became certain with a token. */
export interface AnswerStep {
  /** Text to append: '' while a character, or what may be a stop string or a tag, is incomplete. */
  readonly text: string;
  /**
   * For models with channels: the channel of the text. harmony: `analysis`,
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

/** The channel of models without channels. */
const PLAIN = 'final';

/**
 * Turns new tokens into text: decodes them, tells the channels of the model's format apart, and ends at stop strings.
 * Markers of the format count where they come as tokens; in harmony, text that only looks like one is text. Stop strings
 * are looked for within a message, and those that spell special tokens or markers in all that the model writes.
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
  readonly #specialStops: SpecialStops;
  readonly #stops: StopStrings;
  /** The message that stop strings are looked for in. */
  #message: ChannelSpan | undefined;
  #all: ChannelSpan[] = [];
  /** The answer without its reasoning, special tokens included: tool calls are spelled with them. */
  #content = '';

  /**
   * @param before All tokens before the answer: they may have opened a channel.
   * @param continuesText Whether the answer continues the text before it, so that a space at its beginning is part of it;
   *   in a conversation it begins a text of its own. Default: unless `before` ends as the chat template begins an answer.
   */
  constructor(
    tokenizer: Tokenizer | undefined,
    before: readonly number[],
    { stopIds, stopStrings }: Pick<ResolvedOptions, 'stopIds' | 'stopStrings'>,
    continuesText = !tokenizer?.turns.beginsAnswer(before),
  ) {
    const format = tokenizer?.channelFormat;
    const markers = format ? markersOf(format) : [];
    this.#tokenizer = tokenizer;
    this.#decoded = tokenizer?.stream({ skipSpecialTokens: true, ...(continuesText && { after: before }) });
    this.#textIsPlain = format === 'harmony';
    this.#markers = new Map(
      markers.flatMap((marker) => {
        const id = tokenizer!.idOf(marker);
        return id !== undefined && tokenizer!.addedIds.has(id) ? [[id, marker] as const] : [];
      }),
    );
    if (format) this.#parser = new ChannelParser(format, { open: this.#openChannel(before) });
    this.#stopIds = stopIds;
    const hidden = [...markers, ...Array.from(tokenizer?.specialIds ?? [], (id) => tokenizer!.tokenOf(id)!)];
    const isSpecial = (stop: string): boolean => hidden.some((token) => token !== '' && stop.includes(token));
    this.#specialStops = new SpecialStops(stopStrings.filter(isSpecial));
    this.#stops = new StopStrings(stopStrings.filter((stop) => !isSpecial(stop)));
  }

  /** @param isLast Whether no token may follow. */
  push(token: number, isLast: boolean): AnswerStep {
    const isEnd = this.#stopIds.has(token);
    const isOver = isEnd || isLast;
    const pieces = isEnd ? [] : this.#decode(token);
    if (isOver) pieces.push({ text: this.#decoded?.end() ?? '' });
    const raw = this.#untilSpecialStop(pieces, isEnd ? token : undefined, isOver);
    const parsed = raw.pieces.flatMap((piece) => this.#read(piece));
    if (isOver || raw.stopped) parsed.push(...this.#collected(this.#parser?.end() ?? []));
    this.#collectSpecial(raw.end);
    const { spans, stopped } = this.#certain(parsed);
    if ((isOver || raw.stopped) && !stopped) spans.push(...this.#held());
    const finishReason = isEnd || raw.stopped || stopped ? 'stop' : isLast ? 'length' : undefined;
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

  /** The pieces that become certain with a token: its text, or the token itself where it does not appear as text. */
  #decode(token: number): Piece[] {
    const marker = this.#markers.get(token);
    const isSpecial = this.#tokenizer?.specialIds.has(token) ?? false;
    if (marker === undefined && isSpecial) {
      // Bytes that are no character may go on behind the token, unless a stop string may end with it.
      const before = this.#specialStops.isEmpty ? '' : this.#decoded!.end();
      return [{ text: before }, { text: this.#tokenizer!.tokenOf(token)!, token }];
    }
    if (marker === undefined) return [{ text: this.#decoded?.push(token) ?? '' }];
    // Bytes that are no character stand before the marker, and the text behind it keeps its space.
    const text = isSpecial ? this.#decoded!.end() : this.#decoded!.push(token);
    const before = text.endsWith(marker) ? text.slice(0, -marker.length) : isSpecial ? text : '';
    return [{ text: before }, { text: marker, token }];
  }

  /**
   * The pieces before the first stop string that spells a special token.
   *
   * @param last The token that ends the answer, which may complete a stop string.
   * @returns `end`: what ended the answer, in the model's own spelling.
   */
  #untilSpecialStop(
    pieces: readonly Piece[],
    last: number | undefined,
    isOver: boolean,
  ): { pieces: Piece[]; stopped: boolean; end: string } {
    const end = last === undefined ? '' : (this.#tokenizer?.decode([last]) ?? '');
    const certain: Piece[] = [];
    for (const piece of [...pieces, { text: end, token: last }]) {
      const { pieces: released, stopped } = this.#specialStops.push(piece);
      certain.push(...released);
      if (stopped !== undefined) return { pieces: certain, stopped: true, end: stopped };
    }
    if (isOver) certain.push(...this.#specialStops.end());
    // It was looked at, and is no part of the answer.
    return { pieces: end === '' ? certain : certain.slice(0, -1), stopped: false, end };
  }

  #read({ text, token }: Piece): ChannelSpan[] {
    if (token === undefined) return this.#collected(this.#parse(text));
    const marker = this.#markers.get(token);
    if (marker !== undefined) return this.#collected(this.#parser!.pushMarker(marker));
    // No marker is spelled across it.
    const spans = this.#collected(this.#parser?.pushText('') ?? []);
    this.#collectSpecial(text);
    return spans;
  }

  #parse(text: string): ChannelSpan[] {
    if (!this.#parser) return text === '' ? [] : [{ channel: PLAIN, content: text }];
    return this.#textIsPlain ? this.#parser.pushText(text) : this.#parser.push(text);
  }

  #collected(spans: ChannelSpan[]): ChannelSpan[] {
    for (const { channel, content } of spans) if (channel !== 'reasoning') this.#content += content;
    return spans;
  }

  #collectSpecial(special: string): void {
    if (this.#parser?.open !== 'reasoning') this.#content += special;
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

  /** Text that might have begun a stop string, and did not, because its message is over. */
  #held(): ChannelSpan[] {
    const { text } = this.#stops.end();
    return text === '' || !this.#message ? [] : [{ ...this.#message, content: text }];
  }

  /** The channel that the text before the answer leaves open. */
  #openChannel(before: readonly number[]): string | undefined {
    return this.#textIsPlain ? this.#openMessage(before) : this.#openReasoning(before);
  }

  /** harmony: of the message that the last `<|start|>` began. */
  #openMessage(before: readonly number[]): string | undefined {
    const tokenizer = this.#tokenizer!;
    const parser = new ChannelParser('harmony');
    const stream = tokenizer.stream({ skipSpecialTokens: true });
    for (const token of before.slice(Math.max(0, before.lastIndexOf(tokenizer.idOf('<|start|>')!)))) {
      const marker = this.#markers.get(token);
      if (marker === undefined) parser.pushText(stream.push(token));
      else parser.pushMarker(marker);
    }
    return parser.open;
  }

  /** `reasoning`, or `final` where it is over; undefined where neither has begun. */
  #openReasoning(before: readonly number[]): string | undefined {
    const tokenizer = this.#tokenizer!;
    const said = tokenizer.turns.answerSoFar(before);
    if (said === undefined) return this.#lastTag(before);
    if (said.trim() === '') return undefined;
    const parser = new ChannelParser('think');
    parser.push(said);
    return parser.open;
  }

  /** For texts that are not an answer as the template begins one: by the last tag since the last token between messages. */
  #lastTag(before: readonly number[]): string | undefined {
    const { addedIds } = this.#tokenizer!;
    const border = before.findLastIndex((token) => addedIds.has(token) && !this.#markers.has(token));
    const text = this.#tokenizer!.decode(before.slice(border + 1));
    const [opened, closed] = [text.lastIndexOf('<think>'), text.lastIndexOf('</think>')];
    if (opened === closed) return undefined;
    return opened > closed ? 'reasoning' : 'final';
  }

  #toolCalls(): ToolCall[] {
    if (this.#textIsPlain) return parseToolCalls(joinSpans(this.#all));
    return this.#tokenizer?.templateReads('tools') ? spelledToolCalls(this.#content) : [];
  }
}
