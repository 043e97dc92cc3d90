import { checkArgument, checkOptions, oneOf, TEXT } from '../../options.ts';
import { CHANNEL_CHECKS } from '../argument-checks.ts';
import { HARMONY_MARKERS, HarmonyReader } from './harmony.ts';
import { MarkerScanner } from './marker-scanner.ts';
import { type ChannelSpan, joinSpans } from './spans.ts';
import { THINK_MARKERS, ThinkReader } from './think.ts';

/** How a model separates its reasoning from its answer: the harmony format of gpt-oss, or `<think>` tags. */
export type ChannelFormat = 'harmony' | 'think';

/** Options of a channel parser. */
export interface ChannelOptions {
  /**
   * The channel that the prompt left open, so that the text begins with its content: `reasoning` after `<think>`, `final`
   * after `<|channel|>final<|message|>`. Default: none.
   */
  readonly open?: string | undefined;
}

const FORMATS = {
  harmony: { markers: HARMONY_MARKERS, Reader: HarmonyReader },
  think: { markers: THINK_MARKERS, Reader: ThinkReader },
};

const FORMAT = oneOf(...Object.keys(FORMATS));

/** The texts that structure a format, such as `<think>`. None is the beginning of another. */
export const markersOf = (format: ChannelFormat): readonly string[] => FORMATS[format].markers;

/**
 * Parses generated text into channel spans as it arrives. Accepts any text; the messages do not depend on how the text is
 * cut into pieces.
 *
 * A span continues the previous span's message, unless its channel, recipient or content type differs or its content is
 * empty: an empty span announces a new message.
 */
export class ChannelParser {
  readonly #reader: HarmonyReader | ThinkReader;
  readonly #scanner: MarkerScanner;

  constructor(format: ChannelFormat, { open }: ChannelOptions = {}) {
    const { markers, Reader } = FORMATS[format];
    this.#reader = new Reader(open);
    this.#scanner = new MarkerScanner(markers);
  }

  /** The channel whose content is being read; undefined within a header. */
  get open(): string | undefined {
    return this.#reader.open;
  }

  /** Reads the next piece of text, markers included. @returns the spans that are now certain. */
  push(text: string): ChannelSpan[] {
    checkArgument('push', 'text', text, TEXT);
    for (const piece of this.#scanner.push(text)) {
      if ('marker' in piece) this.#reader.marker(piece.marker);
      else this.#reader.text(piece.text);
    }
    return this.#reader.take();
  }

  /** Reads a piece of text in which nothing counts as a marker. @returns the spans that are now certain. */
  pushText(text: string): ChannelSpan[] {
    this.#reader.text(this.#scanner.flush() + text);
    return this.#reader.take();
  }

  /** Reads a marker that was generated as a token of its own. @returns the spans that are now certain. */
  pushMarker(marker: string): ChannelSpan[] {
    this.#reader.text(this.#scanner.flush());
    this.#reader.marker(marker);
    return this.#reader.take();
  }

  /** Ends the text. @returns the spans that were held back. */
  end(): ChannelSpan[] {
    this.#reader.text(this.#scanner.flush());
    this.#reader.end();
    return this.#reader.take();
  }
}

/**
 * A streaming parser for the channels of generated text: see `ChannelParser`.
 *
 * @throws {OptionError} when the format or an option is unknown.
 */
export function channelParser(format: ChannelFormat, options: ChannelOptions = {}): ChannelParser {
  checkArgument('channelParser', 'format', format, FORMAT);
  checkOptions('channelParser', options, CHANNEL_CHECKS);
  return new ChannelParser(format, options);
}

/**
 * The messages of a whole generated text, each with its channel. Any text is accepted: see `ChannelParser`.
 *
 * @throws {OptionError} when an argument has the wrong type or the format is unknown.
 */
export function parseChannels(format: ChannelFormat, text: string, options: ChannelOptions = {}): ChannelSpan[] {
  checkArgument('parseChannels', 'text', text, TEXT);
  const parser = channelParser(format, options);
  return joinSpans([...parser.push(text), ...parser.end()]);
}
