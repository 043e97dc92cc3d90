import { SpanCollector, type ChannelSpan } from './spans.ts';

const OPEN = '<think>';
const CLOSE = '</think>';

/** The tags around reasoning. */
export const THINK_MARKERS = [OPEN, CLOSE];

/**
 * The format of DeepSeek-R1, Qwen3 and others: reasoning between `<think>` and `</think>`, then the answer.
 *
 * Only the beginning of a text is reasoning: `<think>` counts if nothing but white space stands before it, and the first
 * `</think>` after it ends the reasoning. All other tags are text, so that an answer can quote them; so is a `</think>`
 * without an opening tag, because the text before it was already given out as the answer. White space before the opening
 * tag is dropped, all other text is kept.
 */
export class ThinkReader {
  /** `blank`: only white space has been read, and reasoning may still begin. */
  #state: 'blank' | 'reasoning' | 'answer';
  /** The white space at the beginning. */
  #blank = '';
  /** Whether `<think>` would be the model's repetition of the tag at the end of the prompt. */
  #mayRepeat: boolean;
  readonly #spans: SpanCollector;

  /**
   * @param open `reasoning` if the prompt ends with `<think>`, `final` if the prompt closes the reasoning; undefined
   *   otherwise.
   */
  constructor(open: string | undefined) {
    this.#state = open === 'reasoning' ? 'reasoning' : open === undefined ? 'blank' : 'answer';
    this.#mayRepeat = open === 'reasoning';
    this.#spans = new SpanCollector({ channel: this.open });
  }

  /** The channel that text belongs to now. */
  get open(): string {
    return this.#state === 'reasoning' ? 'reasoning' : 'final';
  }

  /** Reads text without markers. */
  text(text: string): void {
    if (this.#state !== 'blank') {
      this.#mayRepeat &&= text.trim() === '';
      this.#spans.add(text);
      return;
    }
    this.#blank += text;
    if (this.#blank.trim() !== '') this.#answer(this.#blank);
  }

  /** Reads a marker. */
  marker(marker: string): void {
    if (marker === OPEN && this.#state === 'blank') {
      this.#enter('reasoning');
    } else if (marker === OPEN && this.#mayRepeat) {
      this.#mayRepeat = false;
    } else if (marker === CLOSE && this.#state === 'reasoning') {
      this.#enter('answer');
    } else if (this.#state === 'blank') {
      this.#answer(this.#blank + marker);
    } else {
      this.text(marker);
    }
  }

  /** Ends the text. */
  end(): void {
    if (this.#state === 'blank') this.#answer(this.#blank);
  }

  /** The spans since the last call. */
  take(): ChannelSpan[] {
    return this.#spans.take();
  }

  #enter(state: 'reasoning' | 'answer'): void {
    this.#state = state;
    this.#mayRepeat = false;
    this.#spans.setHeader({ channel: this.open });
  }

  #answer(content: string): void {
    this.#enter('answer');
    this.#spans.add(content);
  }
}
