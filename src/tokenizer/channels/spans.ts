import { checkArgument, isRecord, listOf } from '../../options.ts';

/** A piece of what a model says, and in which channel of its format it says it. */
export interface ChannelSpan {
  /** harmony: `analysis`, `commentary`, `final`, or what else the model names; think: `reasoning`, `final`. */
  readonly channel: string;
  /** harmony: whom the message is for, such as `functions.NAME` in a tool call. */
  readonly recipient?: string;
  /** harmony: what the content is, such as `json`. */
  readonly contentType?: string;
  readonly content: string;
}

export type SpanHeader = Omit<ChannelSpan, 'content'>;

/**
 * Whether a span begins a message rather than going on with the one before: its header is another, or its content is
 * empty, which announces a message.
 */
export function beginsMessage({ content, ...header }: ChannelSpan, before: SpanHeader | undefined): boolean {
  return content === '' || before === undefined || !sameHeader(header, before);
}

export const SPANS = listOf(
  'spans, objects with channel and content',
  (span) => isRecord(span) && typeof span.channel === 'string' && typeof span.content === 'string',
);

/** Spans as messages: those that go on with the one before are joined to it. */
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

/** Collects the spans of one step of a parser, each message's content in one span. */
export class SpanCollector {
  #spans: ChannelSpan[] = [];
  #header: SpanHeader;
  /** Whether the last span of this step may take more content. */
  #isOpen = false;

  /** @param header Of the content that comes first. */
  constructor(header: SpanHeader) {
    this.#header = header;
  }

  /** A message begins. It is announced, as empty, until content comes; where its header is the last one's, in any case. */
  announce(header: SpanHeader): void {
    this.#isOpen = !sameHeader(header, this.#header);
    this.#header = header;
    this.#spans.push({ ...header, content: '' });
  }

  /** The content that follows is under this header. */
  setHeader(header: SpanHeader): void {
    this.#isOpen &&= sameHeader(header, this.#header);
    this.#header = header;
  }

  add(content: string): void {
    if (content === '') return;
    const last = this.#spans.at(-1);
    if (this.#isOpen && last) this.#spans[this.#spans.length - 1] = { ...last, content: last.content + content };
    else this.#spans.push({ ...this.#header, content });
    this.#isOpen = true;
  }

  take(): ChannelSpan[] {
    const spans = this.#spans;
    this.#spans = [];
    this.#isOpen = false;
    return spans;
  }
}
