import type { Budget } from './budget.ts';
import { indexOf, lastIndexOf, lastOccurrences, occurrences } from './substring-search.ts';
import { Tuple } from './python-values.ts';

/** What Python's `str.isspace` says; JavaScript takes U+FEFF for a space, and U+0085 and U+001C to U+001F for none. */
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/; // eslint-disable-line no-control-regex
const NOT_SPACE = new RegExp(`[^${SPACE.source.slice(1)}`);
const WORDS = new RegExp(`${NOT_SPACE.source}+`, 'g');
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g; // eslint-disable-line no-control-regex
/** What a word or a line costs that is cut out of a text. */
const STEPS_PER_PIECE = 4;

export const isSpace = (character: string): boolean => SPACE.test(character);
export const isAllSpace = (text: string): boolean => text !== '' && !NOT_SPACE.test(text);

/** Python's `strip`, `lstrip` and `rstrip`: of white space, or of any of the characters given. */
export function strip(text: string, characters: string | undefined, left: boolean, right: boolean, budget: Budget) {
  budget.text(text.length);
  if (characters !== undefined) budget.characters(characters.length);
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

/** Python's `split` and `rsplit`: at a separator, or between runs of white space. Below 0, `most` is no limit. */
export function split(text: string, separator: string | undefined, most: number, fromRight: boolean, budget: Budget) {
  const limit = most < 0 ? Infinity : most;
  if (separator === undefined) return splitAtSpaces(text, limit, fromRight, budget);
  const places = (fromRight ? lastOccurrences : occurrences)(text, separator, limit, budget);
  budget.spend(STEPS_PER_PIECE * places.length);
  budget.items(places.length + 1);
  const ends = [...places, text.length];
  return ends.map((end, i) => text.slice(i === 0 ? 0 : ends[i - 1] + separator.length, end));
}

function splitAtSpaces(text: string, most: number, fromRight: boolean, budget: Budget): string[] {
  const words: { readonly index: number; readonly word: string }[] = [];
  budget.text(text.length);
  for (const { index, 0: word } of text.matchAll(WORDS)) {
    budget.object();
    words.push({ index, word });
  }
  budget.items(words.length);
  if (words.length <= most) return words.map(({ word }) => word);
  // What is not split keeps the space at its far end.
  if (!fromRight) return [...words.slice(0, most).map(({ word }) => word), text.slice(words[most].index)];
  const last = words[words.length - most - 1];
  return [text.slice(0, last.index + last.word.length), ...words.slice(words.length - most).map(({ word }) => word)];
}

/** Python's `splitlines`: no empty line after the last line end. */
export function splitLines(text: string, keepEnds: boolean, budget: Budget): string[] {
  const lines: string[] = [];
  let from = 0;
  budget.text(text.length);
  for (const { 0: end, index } of text.matchAll(LINE_END)) {
    budget.spend(STEPS_PER_PIECE);
    lines.push(text.slice(from, keepEnds ? index + end.length : index));
    from = index + end.length;
  }
  if (from < text.length) lines.push(text.slice(from));
  budget.items(lines.length);
  return lines;
}

/** Python's `partition` and `rpartition`. */
export function partition(text: string, separator: string, fromRight: boolean, budget: Budget): Tuple {
  const at = fromRight ? lastIndexOf(text, separator, budget) : indexOf(text, separator, 0, budget);
  if (at < 0) return new Tuple(fromRight ? ['', '', text] : [text, '', '']);
  return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
}

/** The first character in upper case, the rest in lower case. */
export function capitalize(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** What a character or a run of them costs that a function replaces. */
const STEPS_PER_REPLACEMENT = 2;

/** `text.replace(pattern, by)` of a long text, piece by piece, so that what grows is known before it is large. */
export function replaceEach(text: string, pattern: RegExp, by: (found: string) => string, budget: Budget): string {
  return inPieces(text, budget, (piece) =>
    piece.replace(pattern, (found) => {
      budget.spend(STEPS_PER_REPLACEMENT);
      return by(found);
    }),
  );
}

/** Code units that are changed at a time. */
const PIECE = 2 ** 16;

/** A text that is changed character by character, in pieces that cut no pair in two. */
export function inPieces(text: string, budget: Budget, change: (piece: string) => string): string {
  budget.text(text.length);
  let changed = '';
  for (let from = 0; from < text.length;) {
    const end = Math.min(text.length, from + PIECE);
    const to = end < text.length && text.charCodeAt(end - 1) >> 10 === 0x36 ? end + 1 : end;
    const piece = change(text.slice(from, to));
    budget.text(piece.length);
    changed += piece;
    budget.room(changed.length);
    from = to;
  }
  return changed;
}

/** Python's `str.title`: a letter after another is small, all others are large. */
export function titleCase(text: string, budget: Budget): string {
  return eachWord(text, /\p{L}+/gu, budget);
}

/** Jinja's `title`: words begin after white space, hyphens and opening brackets. */
export function titleWords(text: string, budget: Budget): string {
  return eachWord(text, /[^-\s({[<]+/gu, budget);
}

function eachWord(text: string, word: RegExp, budget: Budget): string {
  // Words may be longer than a piece; letters that become three in upper case are few, but a text may have no others.
  budget.text(3 * text.length);
  return text.replace(word, (found) => {
    budget.spend(STEPS_PER_REPLACEMENT);
    return capitalize(found);
  });
}

/** Spaces before each line but the first (`first`: that too), and not before empty ones (`blank`: these too). */
export function indent(text: string, prefix: string, first: boolean, blank: boolean, budget: Budget): string {
  const [head = '', ...rest] = splitLines(`${text}\n`, false, budget);
  budget.text(text.length + prefix.length * (rest.length + 1));
  const lines = rest.map((line) => (line === '' && !blank ? line : prefix + line));
  return (first ? prefix : '') + [head, ...lines].join('\n');
}

const ESCAPES: Readonly<Partial<Record<string, string>>> = {
  ...{ n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' },
  ...{ '\\': '\\', "'": "'", '"': '"', '\n': '' },
};

/** What a string literal between its quotes means. A backslash before any other character stays, as in Python. */
export function unescape(literal: string): string {
  return literal.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, x?: string, u?: string, U?: string, octal?: string, single?: string) => {
      const hex = x ?? u ?? U;
      if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
      if (octal !== undefined) return String.fromCodePoint(parseInt(octal, 8));
      return ESCAPES[single!] ?? whole;
    },
  );
}
