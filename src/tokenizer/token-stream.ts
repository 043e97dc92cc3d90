import type { DecodeTokens } from './decoders/token-decoder.ts';

/** Decodes ids one by one, in whole characters. */
export interface TokenStream {
  /** Adds a token. @returns the text that is now certain; '' while a character is incomplete. */
  push(id: number): string;
  /** The text that was held back. More tokens may follow. */
  end(): string;
}

const INCOMPLETE = '\uFFFD';
/** Tokens held back, or kept as context; more than any character, or run of byte tokens in real text, has. */
const MAX_HELD = 64;

/** A beginning of the window whose text has been returned. */
interface Shown {
  /** Its number of tokens. */
  readonly shown: number;
  /** Its text. */
  readonly prefix: string;
}

/**
 * Decodes token by token. The text of a token is the difference between decoding a short window of tokens with and without
 * it, so that decoder rules that depend on neighbours (a stripped leading space, the bytes of one character) hold. Text that
 * ends in U+FFFD may be an incomplete character and is held back. The window moves with the text, so that the cost of a
 * token does not depend on the number of tokens before it.
 *
 * Source: `step_decode_stream` of the Rust crate `tokenizers`. In addition, held text is returned by `end`, when too much of
 * it is held, and when later bytes invalidate earlier ones, where the crate stalls or fails.
 */
export class DecodeStream implements TokenStream {
  readonly #decode: DecodeTokens;
  readonly #visible: (id: number) => string | undefined;
  /** The tokens whose text was returned last, then those held back. */
  #window: string[] = [];
  /** The beginning of the window whose text has been returned: its number of tokens and its text. */
  #shown = 0;
  #prefix = '';
  /** Until text is first returned: the beginnings that are one to three tokens shorter. A character may begin in them. */
  #earlier: readonly Shown[] = [];

  /**
   * @param decode Makes text of tokens.
   * @param visible The token of an id; undefined for an id that is left out.
   * @param before The ids of a text that the stream continues. Default: none.
   */
  constructor(decode: DecodeTokens, visible: (id: number) => string | undefined, before: readonly number[] = []) {
    this.#decode = decode;
    this.#visible = visible;
    this.#continueFrom(before);
  }

  push(id: number): string {
    const token = this.#visible(id);
    if (!token) return '';
    if (this.#prefix === '' && this.#window.length > 0) this.#skipInvisibleStart();
    this.#window.push(token);
    const text = this.#decode(this.#window);
    if (text.endsWith(INCOMPLETE)) return this.#window.length - this.#shown > MAX_HELD ? this.#releaseHeld() : '';
    if (!this.#continues(text)) return this.#restart();
    if (text.length === this.#prefix.length) return '';
    return this.#advance(text, this.#window.length);
  }

  end(): string {
    const text = this.#decode(this.#window);
    if (!this.#continues(text)) return this.#restart();
    // The last tokens stay in the window: a space before the next word depends on them.
    return text.length === this.#prefix.length ? '' : this.#advance(text, this.#window.length);
  }

  /** Fills the window with tokens whose text counts as returned. */
  #continueFrom(before: readonly number[]): void {
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
    this.#setShown(whole);
    this.#earlier = earlier;
  }

  /** Whether a text continues the returned one, or a shorter beginning of the window, which then takes its place. */
  #continues(text: string): boolean {
    if (text.startsWith(this.#prefix)) return true;
    const begun = this.#earlier.find(({ prefix }) => text.startsWith(prefix));
    if (begun) this.#setShown(begun);
    return begun !== undefined;
  }

  #setShown({ shown, prefix }: Shown): void {
    this.#shown = shown;
    this.#prefix = prefix;
  }

  /** How many tokens can leave the window without cutting a character. */
  #completeBefore(text: string): number {
    if (!this.#prefix.endsWith(INCOMPLETE)) return this.#shown;
    const complete = ({ prefix }: { prefix: string }) => !prefix.endsWith(INCOMPLETE) && text.startsWith(prefix);
    return this.#earlier.find(complete)?.shown ?? this.#shown;
  }

  /** Treats tokens at the beginning without text, such as a stripped space, as returned. */
  #skipInvisibleStart(): void {
    const text = this.#decode(this.#window);
    if (text.endsWith(INCOMPLETE)) return;
    this.#prefix = text;
    this.#shown = this.#window.length;
  }

  /** Returns what `text`, the text of the first `count` tokens of the window, adds to the returned text. */
  #advance(text: string, count: number): string {
    const added = text.slice(this.#prefix.length);
    const held = this.#window.length - count;
    this.#window = this.#window.slice(this.#completeBefore(text));
    this.#earlier = [];
    this.#shown = this.#window.length - held;
    this.#prefix = this.#decode(this.#window.slice(0, this.#shown));
    return added;
  }

  /** Begins a new window after the returned text: later bytes changed how its end decodes, which can no longer be shown. */
  #restart(): string {
    this.#window = this.#window.slice(this.#shown);
    this.#shown = this.#window.length;
    this.#prefix = this.#decode(this.#window);
    return this.#prefix;
  }

  /** Returns held text up to the last position where cutting does not change it. */
  #releaseHeld(): string {
    const whole = this.#decode(this.#window);
    const n = this.#window.length;
    const cuts = [n - 3, n - 2, n - 1];
    const cut =
      cuts.find((i) => this.#decode(this.#window.slice(0, i)) + this.#decode(this.#window.slice(i)) === whole) ?? n;
    const text = this.#decode(this.#window.slice(0, cut));
    return this.#continues(text) ? this.#advance(text, cut) : this.#restart();
  }
}
