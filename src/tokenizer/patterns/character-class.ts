import { quote } from '../../quote.ts';
import { caseVariants, casedLetters } from './case-folding.ts';
import { escapedCharacter, literal } from './escapes.ts';
import { DIGIT, HEX_DIGIT, POSIX, property, SPACE, WORD } from './character-properties.ts';
import type { PatternReader } from './pattern-reader.ts';

/** Classes within classes. */
const MAX_DEPTH = 32;

/**
 * Translates a class `[...]` of Oniguruma to one of JavaScript with the flag `v`. Classes nest, `&&` intersects, and a `]`
 * at the beginning and a `-` at either end or after a class are characters.
 *
 * @param reader A reader that has just read the `[`.
 * @param ignoreCase Whether to add the letters of other case.
 * @throws {SyntaxError} when the class is malformed.
 */
export function characterClass(reader: PatternReader, ignoreCase: boolean, depth = 1): string {
  if (depth > MAX_DEPTH) reader.fail(`has more than ${MAX_DEPTH} classes within each other`);
  const negated = reader.take('^');
  const operands: string[] = [];
  let items = '';
  let isFirst = true;
  for (;;) {
    if (reader.done) reader.fail('has a class without an end');
    if (reader.looksAt(']')) {
      if (!isFirst) break;
      if (!reader.source.includes(']', reader.at + 1)) reader.fail('has an empty class');
    }
    isFirst = false;
    if (reader.take('&&')) {
      operands.push(`[${items}]`);
      items = '';
    } else items += classItem(reader, ignoreCase, depth);
  }
  reader.next();
  let inside = operands.length === 0 ? items : [...operands, `[${items}]`].join('&&');
  if (ignoreCase && depth === 1) inside = closeOverCase(inside);
  return `[${negated ? '^' : ''}${inside}]`;
}

/** A range, a character, a nested class, or an escape that stands for several characters. */
function classItem(reader: PatternReader, ignoreCase: boolean, depth: number): string {
  if (reader.looksAt('[:')) {
    const posix = reader.match(/\[:(\^?)(\w{1,20}):\]/y);
    if (posix) {
      const inside = POSIX.get(posix[2]) ?? reader.fail(`has the unknown class [:${posix[2]}:]`);
      return posix[1] ? `[^${inside}]` : inside;
    }
  }
  if (reader.take('[')) return characterClass(reader, ignoreCase, depth + 1);
  const set = setEscape(reader);
  if (set !== undefined) {
    if (isRange(reader)) reader.fail('has a range that begins with a class');
    return set;
  }
  const from = classCharacter(reader);
  if (!isRange(reader)) return literal(from);
  reader.next();
  if (reader.looksAt('[') || setEscape(reader) !== undefined) reader.fail('has a range that ends in a class');
  const to = classCharacter(reader);
  if (to.codePointAt(0)! < from.codePointAt(0)!) reader.fail('has a range that ends before it begins');
  return `${literal(from)}-${literal(to)}`;
}

/** Whether a hyphen makes a range here: at the end of a class and before `&&` it is a character. */
function isRange(reader: PatternReader): boolean {
  return reader.looksAt('-') && !reader.looksAt('-]') && !reader.looksAt('-&&');
}

function classCharacter(reader: PatternReader): string {
  if (!reader.take('\\')) return reader.next();
  return reader.take('b') ? '\b' : escapedCharacter(reader);
}

const SETS: Readonly<Partial<Record<string, string>>> = {
  w: WORD,
  W: `[^${WORD}]`,
  d: DIGIT,
  D: `[^${DIGIT}]`,
  s: SPACE,
  S: `[^${SPACE}]`,
  h: HEX_DIGIT,
  H: `[^${HEX_DIGIT}]`,
};

/** Reads an escape for a set of characters, such as `\w` or `\p{...}`. @returns the inside of a class; undefined when there is none. */
export function setEscape(reader: PatternReader): string | undefined {
  const named = reader.match(/\\([pP])\{(\^?)([^}]*)\}/y);
  if (named) {
    const inside = property(named[3]) ?? reader.fail(`has the unknown property ${quote(named[3])}`);
    return (named[1] === 'P') !== (named[2] === '^') ? `[^${inside}]` : inside;
  }
  const short = reader.match(/\\([wWdDsShH])/y);
  return short ? SETS[short[1]] : undefined;
}

/** Adds the letters of other case that the class lacks. */
function closeOverCase(inside: string): string {
  const isIn = new RegExp(`^[${inside}]$`, 'v');
  const added: string[] = [];
  for (const [letter] of casedLetters()) {
    if (!isIn.test(letter) && Array.from(caseVariants(letter)).some((other) => isIn.test(other))) added.push(letter);
  }
  return added.length === 0 ? inside : `[${inside}]${added.map(literal).join('')}`;
}
