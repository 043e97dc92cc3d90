import { SpanCollector, type ChannelSpan, type SpanHeader } from './spans.ts';

const START = '<|start|>';
const CHANNEL = '<|channel|>';
const CONSTRAIN = '<|constrain|>';
const MESSAGE = '<|message|>';
const END = '<|end|>';

/** The special tokens that structure harmony. */
export const HARMONY_MARKERS = [START, CHANNEL, CONSTRAIN, MESSAGE, END, '<|call|>', '<|return|>', '<|endoftext|>'];

const CHANNELS = ['analysis', 'commentary', 'final'];

/** The parts of a header that have been read so far. */
interface PartialHeader {
  /** Whether `<|start|>` came first. It is missing at the beginning of an answer, where the prompt holds it. */
  readonly started: boolean;
  /** Whether the text is known to be a header; without `<|start|>`, it may be content. */
  isRole: boolean;
  role: string;
  channel: string | undefined;
  constrain: string | undefined;
}

const emptyHeader = (started: boolean): PartialHeader => ({
  started,
  isRole: started,
  role: '',
  channel: undefined,
  constrain: undefined,
});

/**
 * The harmony format of gpt-oss: `<|start|>role to=recipient<|channel|>channel <|constrain|>type<|message|>content<|end|>`.
 * The recipient may stand in the role or the channel, and `<|constrain|>` may be missing.
 *
 * Malformed text is accepted:
 * - Within content, only `<|start|>` and the markers that end a message are markers; others are content.
 * - A header that ends before `<|message|>` becomes content. One that is cut off by the end of the text is dropped.
 * - Text in the place of a header belongs to the channel `final`.
 * - Text after `<|return|>`, `<|call|>` or `<|endoftext|>` is dropped, up to the next `<|start|>`.
 *
 * Source: openai/harmony, docs/format.md and parse_header_from_string of src/encoding.rs.
 */
export class HarmonyReader {
  /** The header being read; undefined within content. */
  #partial: PartialHeader | undefined;
  #channel: string | undefined;
  /** Whether a marker that ends the answer was the last. */
  #isOver = false;
  readonly #spans: SpanCollector;

  /** @param open The channel whose content comes first; undefined when a header comes first. */
  constructor(open: string | undefined) {
    this.#partial = open === undefined ? emptyHeader(false) : undefined;
    this.#channel = open;
    this.#spans = new SpanCollector({ channel: open ?? '' });
  }

  /** The channel whose content is being read; undefined within a header and after the answer. */
  get open(): string | undefined {
    return this.#partial || this.#isOver ? undefined : this.#channel;
  }

  /** Reads text without markers. */
  text(text: string): void {
    const partial = this.#partial;
    if (this.#isOver) return;
    if (!partial) {
      this.#spans.add(text);
    } else if (partial.constrain !== undefined) {
      partial.constrain += text;
    } else if (partial.channel !== undefined) {
      partial.channel += text;
    } else {
      partial.role += text;
      if (partial.isRole) return;
      const isRole = looksLikeRole(partial.role);
      if (isRole === false) this.#answer(partial.role);
      else partial.isRole = isRole ?? false;
    }
  }

  /** Reads a marker. */
  marker(marker: string): void {
    const partial = this.#partial;
    if (this.#isOver && marker !== START) return;
    switch (marker) {
      case MESSAGE:
        if (partial) this.#begin(headerOf(partial));
        else this.#spans.add(marker);
        return;
      case CONSTRAIN:
        if (partial) partial.constrain = '';
        else this.#spans.add(marker);
        return;
      case CHANNEL:
        if (partial) this.#partial = { ...partial, channel: '', constrain: undefined };
        else this.#spans.add(marker);
        return;
      default:
        if (partial) this.#degrade(partial);
        this.#partial = emptyHeader(marker === START);
        this.#isOver = marker !== START && marker !== END;
    }
  }

  /** Ends the text. */
  end(): void {
    const partial = this.#partial;
    if (partial && !partial.started && partial.channel === undefined && partial.role.trim() !== '') {
      this.#answer(partial.role);
    }
  }

  /** The spans since the last call. */
  take(): ChannelSpan[] {
    return this.#spans.take();
  }

  #begin(header: SpanHeader): void {
    this.#partial = undefined;
    this.#channel = header.channel;
    this.#spans.announce(header);
  }

  /** Text without a header is the answer. */
  #answer(content: string): void {
    this.#begin({ channel: 'final' });
    this.#spans.add(content);
  }

  /** Makes content of a header that ended without `<|message|>`; a known channel's name and the role are left out. */
  #degrade({ role, channel, constrain = '' }: PartialHeader): void {
    const name = CHANNELS.find((known) => new RegExp(`^\\s*${known}(?!\\S)`).test(channel ?? ''));
    if (name !== undefined) {
      this.#begin({ channel: name });
      this.#spans.add(channel!.trimStart().slice(name.length).trimStart() + constrain);
      return;
    }
    const content = role.replace(/^\s*assistant(?!\S)/, '') + (channel ?? '') + constrain;
    if (content.trim() !== '') this.#answer(content.trimStart());
  }
}

/** Whether text without a `<|start|>` before it is the role of a header; undefined while that is open. */
function looksLikeRole(text: string): boolean | undefined {
  const start = text.trimStart();
  if (start.startsWith('to=') || /^assistant\s/.test(start)) return true;
  return ['to=', 'assistant'].some((role) => role.startsWith(start)) ? undefined : false;
}

function headerOf({ role, channel, constrain }: PartialHeader): SpanHeader {
  const recipient = /(?:^|\s)to=(\S+)/.exec([role, channel ?? '', constrain ?? ''].join(' '))?.[1];
  const [name, type] = words(channel ?? '');
  const contentType = words(constrain ?? '').at(0) ?? type;
  return {
    channel: name ?? (recipient === undefined ? 'final' : 'commentary'),
    ...(recipient !== undefined && { recipient }),
    ...(contentType !== undefined && { contentType }),
  };
}

const words = (text: string): (string | undefined)[] =>
  text.split(/\s+/).filter((word) => word !== '' && !word.startsWith('to='));
