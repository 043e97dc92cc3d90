import { Trie } from './trie.ts';

/** A token that is found whole in a text, before the text is split into words. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Found in the normalised text rather than in the text as given. */
  readonly normalized: boolean;
  /** Found only where no letter or digit touches it. */
  readonly single_word: boolean;
  /** Takes the white space before it along. */
  readonly lstrip: boolean;
  /** Takes the white space after it along. */
  readonly rstrip: boolean;
}

/** A stretch of text, or an added token found in it. */
export type Section = string | AddedToken;

/** Splits a text at added tokens; with `allowSpecial` false, the spelling of a special token is ordinary text. */
export type SplitText = (text: string, allowSpecial: boolean) => Section[];

const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const ENDS_WITH_WORD = new RegExp(`${WORD}$`, 'u');
const STARTS_WITH_WORD = new RegExp(`^${WORD}`, 'u');
const WHITE_SPACE = /\p{White_Space}/u;

/**
 * Finds the leftmost, then longest added tokens, as the reference implementation does (`added_vocabulary.rs` of the
 * Rust crate `tokenizers`): white space beside a token that strips it belongs to the token.
 *
 * @param spelling How a token appears in the text: its content, or its normalised content.
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
        // Many tokens in one stretch of white space each take all that follows.
        if (end > spaceEnd) for (spaceEnd = end; WHITE_SPACE.test(text.charAt(spaceEnd));) spaceEnd++;
        end = spaceEnd;
      }
      if (start > done) sections.push(text.slice(done, start));
      // Where the token before took this one along as white space, this one counts too, unless nothing is left of it.
      if (start < end) sections.push(token);
      done = end;
    }
    if (done < text.length) sections.push(text.slice(done));
    return sections;
  };
}

function touchesWord(text: string, start: number, end: number): boolean {
  // Two code units hold any character; slicing more would make a long text quadratic.
  const before = text.slice(Math.max(0, start - 2), start);
  return ENDS_WITH_WORD.test(before) || STARTS_WITH_WORD.test(text.slice(end, end + 2));
}

/** The tokens by the UTF-16 units of their spellings. */
class SpellingTrie {
  readonly #trie = new Trie<AddedToken>();
  /** Whether a token begins with a unit: most of a text is passed over by this alone. */
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

  /** The first match that begins at `from` or later, the longest there. */
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
