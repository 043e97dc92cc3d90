import { checkArgument, isRecord, listOf } from '../../options.ts';

/** A piece of generated text in one channel. */
export interface ChannelSpan {
  /** harmony: `analysis`, `commentary`, `final`, or any name that the model wrote; think: `reasoning`, `final`. */
  readonly channel: string;
  /** harmony: the addressee, such as `functions.NAME` in a tool call. */
  readonly recipient?: string;
  /** harmony: the type of the content, such as `json`. */
  readonly contentType?: string;
  readonly content: string;
}

/** A span without its content. */
export type SpanHeader = Omit<ChannelSpan, 'content'>;

/** Whether a span is reasoning, which is not part of the answer. `commentary` without a recipient is for the user. */
export const isReasoning = ({ channel, recipient }: ChannelSpan): boolean =>
  recipient === undefined && ['reasoning', 'analysis'].includes(channel);

/**
 * Whether a span begins a new message rather than continuing the previous one: its header differs, or its content is
 * empty.
 *
 * @param before The header of the previous span; undefined for the first.
 */
export function beginsMessage({ content, ...header }: ChannelSpan, before: SpanHeader | undefined): boolean {
  return content === '' || before === undefined || !sameHeader(header, before);
}

/** The check for a list of spans as an argument. */
export const SPANS = listOf(
  'spans, objects with channel and content',
  (span) => isRecord(span) && typeof span.channel === 'string' && typeof span.content === 'string',
);

/**
 * The messages that spans make: a span that continues the previous one is joined to it.
 *
 * @throws {OptionError} when `spans` is no list of spans.
 */
export function joinSpans(spans: readonly ChannelSpan[]): ChannelSpan[] {
  checkArgument('joinSpans', 'spans', spans, SPANS);
  const messages: ChannelSpan[] = [];
  for (const span of spans) {
    const last = messages.at(-1);
    if (last === undefined || beginsMessage(span, last)) messages.push(span);
    else messages[messages.length - 1] = { ...last, content: last.content + span.content };
  }
  return messages;
}

const sameHeader = (a: SpanHeader, b: SpanHeader): boolean =>
  a.channel === b.channel && a.recipient === b.recipient && a.contentType === b.contentType;

/** Collects the spans that one call of a parser gives, with the content of each message in one span. */
export class SpanCollector {
  #spans: ChannelSpan[] = [];
  #header: SpanHeader;
  /** Whether content is added to the last span rather than to a new one. */
  #isOpen = false;

  /** @param header The header of the content that comes first. */
  constructor(header: SpanHeader) {
    this.#header = header;
  }

  /**
   * Begins a message with an empty span. If the header differs from the last one, the message's content is added to that
   * span; otherwise the empty span stays, as it alone tells the messages apart.
   */
  announce(header: SpanHeader): void {
    this.#isOpen = !sameHeader(header, this.#header);
    this.#header = header;
    this.#spans.push({ ...header, content: '' });
  }

  /** Sets the header of the content that follows, without a span of its own. */
  setHeader(header: SpanHeader): void {
    this.#isOpen &&= sameHeader(header, this.#header);
    this.#header = header;
  }

  /** Adds content under the current header. */
  add(content: string): void {
    if (content === '') return;
    const last = this.#spans.at(-1);
    if (this.#isOpen && last) this.#spans[this.#spans.length - 1] = { ...last, content: last.content + content };
    else this.#spans.push({ ...this.#header, content });
    this.#isOpen = true;
  }

  /** The spans since the last call. */
  take(): ChannelSpan[] {
    const spans = this.#spans;
    this.#spans = [];
    this.#isOpen = false;
    return spans;
  }
}
