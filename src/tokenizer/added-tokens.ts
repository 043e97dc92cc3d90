import { Trie } from './trie.ts';

/** A token that is matched in the text itself, before the text is split into words. Field names as in tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Whether it is matched in the normalised text rather than in the text as given. */
  readonly normalized: boolean;
  /** Whether it is matched only where no word character stands beside it. */
  readonly single_word: boolean;
  /** Whether the white space before it is part of the match. */
  readonly lstrip: boolean;
  /** Whether the white space after it is part of the match. */
  readonly rstrip: boolean;
}

/** A piece of text without added tokens, or an added token. */
export type Section = string | AddedToken;

/** Splits a text at added tokens. With `allowSpecial` false, the spelling of a special token is ordinary text. */
export type SplitText = (text: string, allowSpecial: boolean) => Section[];

const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, 'u');
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, 'u');
const WHITE_SPACE = /\p{White_Space}/u;

/**
 * A function that splits texts at the leftmost, longest matches of added tokens.
 *
 * Source: `added_vocabulary.rs` of the Rust crate `tokenizers`.
 *
 * @param spelling The text that a token matches: its content, or its normalised content.
 */
export function addedTokenSplitter(tokens: readonly AddedToken[], spelling: (token: AddedToken) => string): SplitText {
  const spellings = new SpellingTrie(tokens, spelling);
  return (text, allowSpecial) => {
    const sections: Section[] = [];
    let done = 0;
    let spaceEnd = 0;
    for (let match = spellings.find(text, 0); match; match = spellings.find(text, match.end)) {
      const { token } = match;
      let { start, end } = match;
      if ((token.special && !allowSpecial) || (token.single_word && touchesWord(text, start, end))) continue;
      if (token.lstrip) {
        start = Math.max(start, done);
        while (start > done && WHITE_SPACE.test(text[start - 1])) start--;
      }
      if (token.rstrip) {
        // Each of several tokens within one run of white space takes all that follows: scan the run once.
        if (end > spaceEnd) for (spaceEnd = end; WHITE_SPACE.test(text.charAt(spaceEnd));) spaceEnd++;
        end = spaceEnd;
      }
      if (start > done) sections.push(text.slice(done, start));
      // A token within white space that the previous match took counts as well, unless nothing is left of it.
      if (start < end) sections.push(token);
      done = end;
    }
    if (done < text.length) sections.push(text.slice(done));
    return sections;
  };
}

function touchesWord(text: string, start: number, end: number): boolean {
  // Two code units hold any character. Longer slices would make the time quadratic.
  const before = text.slice(Math.max(0, start - 2), start);
  return ENDS_WITH_WORD.test(before) || STARTS_WITH_WORD.test(text.slice(end, end + 2));
}

/** Finds added tokens in a text, by a trie over the UTF-16 units of their spellings. */
class SpellingTrie {
  readonly #trie = new Trie<AddedToken>();
  /** By UTF-16 unit: 1 if a token begins with it. Most positions of a text are ruled out by this alone. */
  readonly #begins = new Uint8Array(2 ** 16);

  constructor(tokens: readonly AddedToken[], spelling: (token: AddedToken) => string) {
    for (const token of tokens) {
      const text = spelling(token);
      if (text === '') continue;
      this.#begins[text.charCodeAt(0)] = 1;
      this.#trie.set(
        Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)),
        token,
      );
    }
  }

  /** The leftmost match at or after `from`; the longest of those that begin there. */
  find(text: string, from: number): { token: AddedToken; start: number; end: number } | undefined {
    for (let start = from; start < text.length; start++) {
      if (this.#begins[text.charCodeAt(start)] === 0) continue;
      let found: AddedToken | undefined;
      let end = start;
      let node: number | undefined = 0;
      for (let at = start; at < text.length;) {
        node = this.#trie.next(node, text.charCodeAt(at++));
        if (node === undefined) break;
        const token = this.#trie.value(node);
        if (token) [found, end] = [token, at];
      }
      if (found) return { token: found, start, end };
    }
    return undefined;
  }
}
