import type { Budget } from './budget.ts';
import { STEPS_PER_REPLACEMENT } from './piecewise.ts';
import { Tuple } from './python-values.ts';
import { characters } from './slices.ts';
import { indexOf, lastIndexOf, lastOccurrences, occurrences } from './substring-search.ts';

/** White space as in Python's `str.isspace`: unlike JavaScript's, without U+FEFF and with U+0085 and U+001C to U+001F. */
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/; // eslint-disable-line no-control-regex

const NOT_SPACE = new RegExp(`[^${SPACE.source.slice(1)}`);

const WORDS = new RegExp(`${NOT_SPACE.source}+`, 'g');

const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g; // eslint-disable-line no-control-regex

/** The cost of making one word or line of a text. */
const STEPS_PER_PIECE = 4;

/** Whether a character is white space in Python. */
export const isSpace = (character: string): boolean => SPACE.test(character);

/** Python's `str.isspace`. */
export const isAllSpace = (text: string): boolean => text !== '' && !NOT_SPACE.test(text);

/** Python's `strip`, `lstrip` and `rstrip`: removes white space, or any of the given characters, at the chosen sides. */
export function strip(text: string, characters: string | undefined, left: boolean, right: boolean, budget: Budget) {
  budget.spendText(text.length);
  if (characters !== undefined) budget.spendCharacters(characters.length);
  const units = characters === undefined ? undefined : new Set(characters);
  const goes = (character: string): boolean => (units ? units.has(character) : isSpace(character));
  let [start, end] = [0, text.length];
  while (left && start < end) {
    const character = String.fromCodePoint(text.codePointAt(start)!);
    if (!goes(character)) break;
    start += character.length;
  }
  while (right && end > start) {
    const character = /[\udc00-\udfff]/.test(text[end - 1]) ? text.slice(Math.max(start, end - 2), end) : text[end - 1];
    if (!goes(character)) break;
    end -= character.length;
  }
  return text.slice(start, end);
}

/** Python's `split` and `rsplit`: at a separator, or at white space when it is undefined; at most `most` times if it is not negative. */
export function split(text: string, separator: string | undefined, most: number, fromRight: boolean, budget: Budget) {
  const limit = most < 0 ? Infinity : most;
  if (separator === undefined) return splitAtSpaces(text, limit, fromRight, budget);
  const places = (fromRight ? lastOccurrences : occurrences)(text, separator, limit, budget);
  budget.spend(STEPS_PER_PIECE * places.length);
  budget.spendItems(places.length + 1);
  const ends = [...places, text.length];
  return ends.map((end, i) => text.slice(i === 0 ? 0 : ends[i - 1] + separator.length, end));
}

function splitAtSpaces(text: string, most: number, fromRight: boolean, budget: Budget): string[] {
  const words: { readonly index: number; readonly word: string }[] = [];
  budget.spendText(text.length);
  for (const { index, 0: word } of text.matchAll(WORDS)) {
    budget.spendObject();
    words.push({ index, word });
  }
  budget.spendItems(words.length);
  if (words.length <= most) return words.map(({ word }) => word);
  // The unsplit rest keeps the white space at its outer end.
  if (!fromRight) return [...words.slice(0, most).map(({ word }) => word), text.slice(words[most].index)];
  const last = words[words.length - most - 1];
  return [text.slice(0, last.index + last.word.length), ...words.slice(words.length - most).map(({ word }) => word)];
}

/** Python's `splitlines`: without an empty line after the last line end. */
export function splitLines(text: string, keepEnds: boolean, budget: Budget): string[] {
  const lines: string[] = [];
  let from = 0;
  budget.spendText(text.length);
  for (const { 0: end, index } of text.matchAll(LINE_END)) {
    budget.spend(STEPS_PER_PIECE);
    lines.push(text.slice(from, keepEnds ? index + end.length : index));
    from = index + end.length;
  }
  if (from < text.length) lines.push(text.slice(from));
  budget.spendItems(lines.length);
  return lines;
}

/** Python's `partition` and `rpartition`. */
export function partition(text: string, separator: string, fromRight: boolean, budget: Budget): Tuple {
  const at = fromRight ? lastIndexOf(text, separator, budget) : indexOf(text, separator, 0, budget);
  if (at < 0) return new Tuple(fromRight ? ['', '', text] : [text, '', '']);
  return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
}

/** Python's `replace`; all matches when `count` is negative. */
export function replace(self: string, old: string, by: string, count: number, budget: Budget): string {
  const most = count < 0 ? Infinity : count;
  if (old === '') {
    const all = characters(self, budget);
    const times = Math.min(most, all.length + 1);
    budget.spendText(self.length + times * by.length);
    const pieces = all.slice(0, times).map((character) => by + character);
    return pieces.join('') + all.slice(times).join('') + (times > all.length ? by : '');
  }
  const times = occurrences(self, old, most, budget).length;
  budget.spendText(self.length + times * Math.max(0, by.length - old.length));
  return times === 0 ? self : split(self, old, times, false, budget).join(by);
}

/** Python's `separator.join(texts)`. */
export function joinTexts(texts: readonly string[], separator: string, budget: Budget): string {
  const total = texts.reduce((sum, item) => sum + item.length + separator.length, 0);
  budget.spendText(total);
  return texts.join(separator);
}

/** Python's `capitalize`: the first character in upper case, the rest in lower case. */
export function capitalize(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** Python's `title`: the first of adjacent letters in upper case, the others in lower case. */
export function titleCase(text: string, budget: Budget): string {
  return capitalizeWords(text, /\p{L}+/gu, budget);
}

/** Capitalizes each match of `word`. */
export function capitalizeWords(text: string, word: RegExp, budget: Budget): string {
  // A letter becomes up to three in upper case. Not in pieces, because a word may be longer than one.
  budget.spendText(3 * text.length);
  return text.replace(word, (found) => {
    budget.spend(STEPS_PER_REPLACEMENT);
    return capitalize(found);
  });
}

/** Python's `islower`. */
export function isLower(self: string, budget: Budget): boolean {
  budget.spendText(4 * self.length); // The text, and its upper case of up to three times its length.
  return self === self.toLowerCase() && self !== self.toUpperCase();
}

/** Python's `isupper`. */
export function isUpper(self: string, budget: Budget): boolean {
  budget.spendText(4 * self.length);
  return self === self.toUpperCase() && self !== self.toLowerCase();
}
