import type { AddedToken } from './library.ts';

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
  const bySpelling = new Map(tokens.map((token) => [spelling(token), token]));
  bySpelling.delete('');
  if (bySpelling.size === 0) return (text) => (text === '' ? [] : [text]);
  const longestFirst = [...bySpelling.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map((text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'gu');

  return (text, allowSpecial) => {
    const sections: Section[] = [];
    let done = 0;
    for (const { 0: found, index } of text.matchAll(pattern)) {
      const token = bySpelling.get(found)!;
      let start = index;
      let end = start + found.length;
      if (start < done || (token.special && !allowSpecial) || (token.single_word && touchesWord(text, start, end))) {
        continue;
      }
      if (token.lstrip) while (start > done && WHITE_SPACE.test(text[start - 1])) start--;
      if (token.rstrip) while (end < text.length && WHITE_SPACE.test(text[end])) end++;
      if (start > done) sections.push(text.slice(done, start));
      sections.push(token);
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
