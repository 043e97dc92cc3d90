import { checkArgument, checkOptions, oneOf, TEXT } from '../../options.ts';
import { CHANNEL_CHECKS } from '../argument-checks.ts';
import { HARMONY_MARKERS, HarmonyReader } from './harmony.ts';
import { MarkerScanner } from './marker-scanner.ts';
import { type ChannelSpan, joinSpans } from './spans.ts';
import { THINK_MARKERS, ThinkReader } from './think.ts';

/** How a model tells what it thinks from what it says: gpt-oss' harmony, or `<think>` tags. */
export type ChannelFormat = 'harmony' | 'think';

/** How to begin with a text whose prompt may have opened a channel. */
export interface ChannelOptions {
  /**
   * The channel that the prompt left open, and whose content therefore comes first: `reasoning` where it ended behind
   * `<think>`, `final` where it ended behind `<|channel|>final<|message|>`. Default: none.
   */
  readonly open?: string | undefined;
}

const FORMATS = {
  harmony: { markers: HARMONY_MARKERS, Reader: HarmonyReader },
  think: { markers: THINK_MARKERS, Reader: ThinkReader },
};

const FORMAT = oneOf(...Object.keys(FORMATS));

export const markersOf = (format: ChannelFormat): readonly string[] => FORMATS[format].markers;

/**
 * Parses what a model says as it comes. Never throws, whatever the text; where it is cut into pieces makes no difference
 * to the messages. A span goes on with the message of the one before unless its channel, recipient or type is another, or
 * its content is empty: an empty span announces a message.
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

  /** Takes the next piece of text, in which markers are spelled out; gives what became certain. */
  push(text: string): ChannelSpan[] {
    checkArgument('push', 'text', text, TEXT);
    for (const piece of this.#scanner.push(text)) {
      if ('marker' in piece) this.#reader.marker(piece.marker);
      else this.#reader.text(piece.text);
    }
    return this.#reader.take();
  }

  /** Takes text that holds no markers, whatever it looks like. */
  pushText(text: string): ChannelSpan[] {
    this.#reader.text(this.#scanner.flush() + text);
    return this.#reader.take();
  }

  /** Takes a marker that came as a token. */
  pushMarker(marker: string): ChannelSpan[] {
    this.#reader.text(this.#scanner.flush());
    this.#reader.marker(marker);
    return this.#reader.take();
  }

  /** The text is over: gives what was held back. */
  end(): ChannelSpan[] {
    this.#reader.text(this.#scanner.flush());
    this.#reader.end();
    return this.#reader.take();
  }
}

/** A streaming parser: see `ChannelParser`. */
export function channelParser(format: ChannelFormat, options: ChannelOptions = {}): ChannelParser {
  checkArgument('channelParser', 'format', format, FORMAT);
  checkOptions('channelParser', options, CHANNEL_CHECKS);
  return new ChannelParser(format, options);
}

/** The messages of a whole text, each with its channel. Never throws: see `ChannelParser`. */
export function parseChannels(format: ChannelFormat, text: string, options: ChannelOptions = {}): ChannelSpan[] {
  checkArgument('parseChannels', 'text', text, TEXT);
  const parser = channelParser(format, options);
  return joinSpans([...parser.push(text), ...parser.end()]);
}
