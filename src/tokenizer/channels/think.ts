import { SpanCollector, type ChannelSpan } from './spans.ts';

const OPEN = '<think>';
const CLOSE = '</think>';

export const THINK_MARKERS = [OPEN, CLOSE];

/**
 * The format of DeepSeek-R1, Qwen3 and their like: reasoning between `<think>` and `</think>`, then the answer.
 *
 * An answer reasons once, at its beginning: `<think>` counts where nothing but white space stands before it, and the
 * first `</think>` behind it ends the reasoning. All other tags are text, as an answer about such tags needs them; so is
 * a `</think>` that closes nothing, because what stands before it has been given out as the answer's. White space before
 * the opening tag is left out; all other text stays as it is.
 */
export class ThinkReader {
  /** `blank`: nothing but white space has come, and reasoning may still begin. */
  #state: 'blank' | 'reasoning' | 'answer';
  /** White space from the beginning. */
  #blank = '';
  /** Whether a model may still repeat the tag that its prompt ended with. */
  #mayRepeat: boolean;
  readonly #spans: SpanCollector;

  /**
   * @param open `reasoning` where the prompt ended behind `<think>`, `final` where its reasoning is over; undefined
   *   where the prompt says neither.
   */
  constructor(open: string | undefined) {
    this.#state = open === 'reasoning' ? 'reasoning' : open === undefined ? 'blank' : 'answer';
    this.#mayRepeat = open === 'reasoning';
    this.#spans = new SpanCollector({ channel: this.open });
  }

  get open(): string {
    return this.#state === 'reasoning' ? 'reasoning' : 'final';
  }

  text(text: string): void {
    if (this.#state !== 'blank') {
      this.#mayRepeat &&= text.trim() === '';
      this.#spans.add(text);
      return;
    }
    this.#blank += text;
    if (this.#blank.trim() !== '') this.#answer(this.#blank);
  }

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

  end(): void {
    if (this.#state === 'blank') this.#answer(this.#blank);
  }

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
