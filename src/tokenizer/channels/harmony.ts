import { SpanCollector, type ChannelSpan, type SpanHeader } from './spans.ts';

const START = '<|start|>';
const CHANNEL = '<|channel|>';
const CONSTRAIN = '<|constrain|>';
const MESSAGE = '<|message|>';
const END = '<|end|>';

export const HARMONY_MARKERS = [START, CHANNEL, CONSTRAIN, MESSAGE, END, '<|call|>', '<|return|>', '<|endoftext|>'];

const CHANNELS = ['analysis', 'commentary', 'final'];

/** The text of a header that is not complete. */
interface PartialHeader {
  /** After `<|start|>`; false where text comes without one, as right behind the prompt. */
  readonly started: boolean;
  /** Whether what comes is a header for sure. */
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
 * The recipient may stand in either part, and `<|constrain|>` may be missing.
 *
 * Whatever comes, nothing is refused. Within content only `<|start|>` and the ends of a message are markers, the others
 * are content. A header that ends before `<|message|>` becomes content, text where a header should be is the final
 * answer's, and a header that is cut off at the end says nothing. Behind `<|return|>`, `<|call|>` and `<|endoftext|>`
 * text belongs to no message, until `<|start|>`.
 *
 * Source: openai/harmony, docs/format.md and parse_header_from_string of src/encoding.rs.
 */
export class HarmonyReader {
  /** The header that is being read; undefined within content. */
  #partial: PartialHeader | undefined;
  #channel: string | undefined;
  /** Behind the end of all messages. */
  #isOver = false;
  readonly #spans: SpanCollector;

  /** @param open The channel whose content comes first; undefined where a header comes first. */
  constructor(open: string | undefined) {
    this.#partial = open === undefined ? emptyHeader(false) : undefined;
    this.#channel = open;
    this.#spans = new SpanCollector({ channel: open ?? '' });
  }

  /** The channel whose content is being read. */
  get open(): string | undefined {
    return this.#partial || this.#isOver ? undefined : this.#channel;
  }

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

  end(): void {
    const partial = this.#partial;
    if (partial && !partial.started && partial.channel === undefined && partial.role.trim() !== '') {
      this.#answer(partial.role);
    }
  }

  take(): ChannelSpan[] {
    return this.#spans.take();
  }

  #begin(header: SpanHeader): void {
    this.#partial = undefined;
    this.#channel = header.channel;
    this.#spans.announce(header);
  }

  /** Text that belongs to no message. */
  #answer(content: string): void {
    this.#begin({ channel: 'final' });
    this.#spans.add(content);
  }

  /** A header that ended without `<|message|>`: what it says beyond a header is content. */
  #degrade({ role, channel, constrain = '' }: PartialHeader): void {
    const name = CHANNELS.find((known) => new RegExp(`^\\s*${known}(?!\\S)`).test(channel ?? ''));
    if (name !== undefined) {
      this.#begin({ channel: name });
      this.#spans.add(channel!.trimStart().slice(name.length).trimStart() + constrain);
      return;
    }
    const said = role.replace(/^\s*assistant(?!\S)/, '') + (channel ?? '') + constrain;
    if (said.trim() !== '') this.#answer(said.trimStart());
  }
}

/** Whether text without `<|start|>` before it is the role part of a header; undefined while it may still become one. */
function looksLikeRole(text: string): boolean | undefined {
  const said = text.trimStart();
  if (said.startsWith('to=') || /^assistant\s/.test(said)) return true;
  return ['to=', 'assistant'].some((role) => role.startsWith(said)) ? undefined : false;
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
