import { Tuple } from './values.ts';

/** What Python's `str.isspace` says; JavaScript takes U+FEFF for a space, and U+0085 and U+001C to U+001F for none. */
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/; // eslint-disable-line no-control-regex
const WORDS = new RegExp(`[^${SPACE.source.slice(1)}+`, 'g');
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g; // eslint-disable-line no-control-regex

export const isSpace = (character: string): boolean => SPACE.test(character);

/** Python's `strip`, `lstrip` and `rstrip`: of white space, or of any of the characters given. */
export function strip(text: string, characters: string | undefined, left: boolean, right: boolean): string {
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

/** Python's `split` and `rsplit`: at a separator, or between runs of white space. */
export function split(text: string, separator: string | undefined, most: number, fromRight: boolean): string[] {
  if (separator === undefined) return splitAtSpaces(text, most, fromRight);
  const parts = text.split(separator);
  if (most < 0 || parts.length <= most + 1) return parts;
  if (fromRight) return [parts.slice(0, parts.length - most).join(separator), ...parts.slice(parts.length - most)];
  return [...parts.slice(0, most), parts.slice(most).join(separator)];
}

function splitAtSpaces(text: string, most: number, fromRight: boolean): string[] {
  const words = Array.from(text.matchAll(WORDS), ({ index, 0: word }) => ({ index, word }));
  if (most < 0 || words.length <= most) return words.map(({ word }) => word);
  // What is not split keeps the space at its far end.
  if (!fromRight) return [...words.slice(0, most).map(({ word }) => word), text.slice(words[most].index)];
  const last = words[words.length - most - 1];
  return [text.slice(0, last.index + last.word.length), ...words.slice(words.length - most).map(({ word }) => word)];
}

/** Python's `splitlines`: no empty line after the last line end. */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let from = 0;
  for (const { 0: end, index } of text.matchAll(LINE_END)) {
    lines.push(text.slice(from, keepEnds ? index + end.length : index));
    from = index + end.length;
  }
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}

/** Python's `partition` and `rpartition`. */
export function partition(text: string, separator: string, fromRight: boolean): Tuple {
  const at = fromRight ? text.lastIndexOf(separator) : text.indexOf(separator);
  if (at < 0) return new Tuple(fromRight ? ['', '', text] : [text, '', '']);
  return new Tuple([text.slice(0, at), separator, text.slice(at + separator.length)]);
}

/** The first character in upper case, the rest in lower case. */
export function capitalize(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** Python's `str.title`: a letter after another is small, all others are large. */
export const titleCase = (text: string): string => text.replace(/\p{L}+/gu, capitalize);

/** How many times `part` occurs in `text` without overlap. */
export function occurrences(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count++;
  return count;
}

/** Spaces before each line but the first (`first`: that too), and not before empty ones (`blank`: these too). */
export function indent(text: string, prefix: string, first: boolean, blank: boolean): string {
  const [head = '', ...rest] = splitLines(`${text}\n`);
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
