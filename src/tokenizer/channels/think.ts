import { SpanCollector, type ChannelSpan } from './spans.ts';

const OPEN = '<think>';

export const THINK_MARKERS = [OPEN, '</think>'];

/**
 * The format of DeepSeek-R1, Qwen3 and their like: reasoning between `<think>` and `</think>`, then the answer. A tag
 * where it means nothing is text, and white space before the first `<think>` says nothing; all other text stays as it is.
 */
export class ThinkReader {
  private isReasoning: boolean;
  /** White space from the beginning, until something else comes. */
  private blank: string | undefined = '';
  private readonly spans: SpanCollector;

  /** @param open `reasoning` where the prompt ended behind `<think>`. */
  constructor(open: string | undefined) {
    this.isReasoning = open === 'reasoning';
    this.spans = new SpanCollector({ channel: this.open });
  }

  get open(): string {
    return this.isReasoning ? 'reasoning' : 'final';
  }

  text(text: string): void {
    if (this.blank !== undefined) {
      this.blank += text;
      if (this.blank.trim() === '') return;
    }
    this.spans.add(this.blank ?? text);
    this.blank = undefined;
  }

  marker(marker: string): void {
    const isOpening = marker === OPEN;
    if (isOpening === this.isReasoning) {
      // A model may repeat the tag that its prompt ended with.
      if (!(isOpening && this.blank !== undefined)) this.text(marker);
      return;
    }
    if (!isOpening && this.blank !== undefined) this.spans.add(this.blank);
    this.blank = undefined;
    this.isReasoning = isOpening;
    this.spans.turn({ channel: this.open });
  }

  end(): void {
    this.spans.add(this.blank ?? '');
    this.blank = undefined;
  }

  take(): ChannelSpan[] {
    return this.spans.take();
  }
}
