import type { DecodeTokens } from './decoders/token-decoder.ts';

/** Turns ids into text as they come, never showing half a character. */
export interface TokenStream {
  /** The text that became certain with this token: '' while a character is incomplete. */
  push(id: number): string;
  /** What was still held back. Further tokens go on behind it. */
  end(): string;
}

const INCOMPLETE = '\uFFFD';
/** No character, and no sensible run of byte tokens, is longer. */
const MAX_HELD = 64;

/** How many tokens of a window are shown, and their text. */
interface Shown {
  readonly shown: number;
  readonly prefix: string;
}

/**
 * Decodes token by token: what a token adds is the difference between decoding a short window of ids with and without
 * it, which keeps rules that look at neighbours (a stripped leading space, bytes of one character) right. Text that
 * ends in U+FFFD may be the beginning of a character and waits. The window moves on with each shown text, so that
 * the cost of a token does not depend on how many came before.
 *
 * Source: `step_decode_stream` of the Rust crate `tokenizers`. Beyond it, this stream ends what is held back when asked
 * to, when too much is held, and when later bytes make shown ones invalid; there the crate stalls or gives up.
 */
export class DecodeStream implements TokenStream {
  readonly #decode: DecodeTokens;
  readonly #visible: (id: number) => string | undefined;
  /** The tokens whose text was shown last, then those held back. */
  #window: string[] = [];
  /** How many tokens of the window are shown, and their text. */
  #shown = 0;
  #prefix = '';
  /** Until the first text is shown: beginnings of the window that lack up to three tokens of what is shown. */
  #earlier: readonly Shown[] = [];

  /**
   * @param visible The token of an id, or undefined for one to be left out.
   * @param before The ids of a text that the stream goes on with.
   */
  constructor(decode: DecodeTokens, visible: (id: number) => string | undefined, before: readonly number[] = []) {
    this.#decode = decode;
    this.#visible = visible;
    this.#goOnAfter(before);
  }

  push(id: number): string {
    const token = this.#visible(id);
    if (!token) return '';
    if (this.#prefix === '' && this.#window.length > 0) this.#skipInvisibleStart();
    this.#window.push(token);
    const text = this.#decode(this.#window);
    if (text.endsWith(INCOMPLETE)) return this.#window.length - this.#shown > MAX_HELD ? this.#releaseHeld() : '';
    if (!this.#goesOn(text)) return this.#restart();
    if (text.length === this.#prefix.length) return '';
    return this.#advance(text, this.#window.length);
  }

  end(): string {
    const text = this.#decode(this.#window);
    if (!this.#goesOn(text)) return this.#restart();
    // What was shown last stays in the window, for the space of a word that follows.
    return text.length === this.#prefix.length ? '' : this.#advance(text, this.#window.length);
  }

  /** The window begins with tokens that are shown already. */
  #goOnAfter(before: readonly number[]): void {
    for (let i = before.length - 1; i >= 0 && this.#window.length < MAX_HELD; i--) {
      const token = this.#visible(before[i]);
      if (token) this.#window.unshift(token);
    }
    const n = this.#window.length;
    const beginnings = [n, n - 1, n - 2, n - 3].filter((shown) => shown >= 0);
    const [whole, ...earlier] = beginnings.map((shown) => ({
      shown,
      prefix: this.#decode(this.#window.slice(0, shown)),
    }));
    this.#show(whole);
    this.#earlier = earlier;
  }

  /** Whether a text goes on with what is shown; where it completes a character of the text before, with less than that. */
  #goesOn(text: string): boolean {
    if (text.startsWith(this.#prefix)) return true;
    const begun = this.#earlier.find(({ prefix }) => text.startsWith(prefix));
    if (begun) this.#show(begun);
    return begun !== undefined;
  }

  #show({ shown, prefix }: Shown): void {
    this.#shown = shown;
    this.#prefix = prefix;
  }

  /** How many tokens of the window can go, which ends within a character at most where the stream began in one. */
  #completeBefore(text: string): number {
    if (!this.#prefix.endsWith(INCOMPLETE)) return this.#shown;
    const complete = ({ prefix }: { prefix: string }) => !prefix.endsWith(INCOMPLETE) && text.startsWith(prefix);
    return this.#earlier.find(complete)?.shown ?? this.#shown;
  }

  /** Tokens that showed nothing at the very beginning, such as a stripped space, are done with. */
  #skipInvisibleStart(): void {
    const text = this.#decode(this.#window);
    if (text.endsWith(INCOMPLETE)) return;
    this.#prefix = text;
    this.#shown = this.#window.length;
  }

  /** Shows what `text`, the text of the first `count` tokens of the window, adds. */
  #advance(text: string, count: number): string {
    const added = text.slice(this.#prefix.length);
    const held = this.#window.length - count;
    this.#window = this.#window.slice(this.#completeBefore(text));
    this.#earlier = [];
    this.#shown = this.#window.length - held;
    this.#prefix = this.#decode(this.#window.slice(0, this.#shown));
    return added;
  }

  /** Bytes that came later made shown ones invalid: those stay as they are, and decoding begins anew after them. */
  #restart(): string {
    this.#window = this.#window.slice(this.#shown);
    this.#shown = this.#window.length;
    this.#prefix = this.#decode(this.#window);
    return this.#prefix;
  }

  /** Shows what is held back up to the last place where the text can be cut without changing it. */
  #releaseHeld(): string {
    const whole = this.#decode(this.#window);
    const n = this.#window.length;
    const cuts = [n - 3, n - 2, n - 1];
    const cut =
      cuts.find((i) => this.#decode(this.#window.slice(0, i)) + this.#decode(this.#window.slice(i)) === whole) ?? n;
    const text = this.#decode(this.#window.slice(0, cut));
    return this.#goesOn(text) ? this.#advance(text, cut) : this.#restart();
  }
}
