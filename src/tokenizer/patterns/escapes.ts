import type { PatternReader } from './pattern-reader.ts';

const CONTROLS: Readonly<Partial<Record<string, string>>> = {
  t: '\t',
  n: '\n',
  r: '\r',
  f: '\f',
  v: '\v',
  a: '\x07',
  e: '\x1b',
};

/** A character as a literal in a JavaScript pattern with the flag `v`, inside or outside of a class. */
export function literal(char: string): string {
  return /^[0-9A-Za-z]$/.test(char) ? char : `\\u{${char.codePointAt(0)!.toString(16)}}`;
}

/**
 * The character of an escape sequence.
 *
 * @param reader A reader that has just read the backslash.
 * @throws {SyntaxError} when the escape is malformed.
 */
export function escapedCharacter(reader: PatternReader): string {
  const braced = reader.match(/x\{([0-9A-Fa-f]{1,8})\}/y);
  if (braced) return fromCode(reader, parseInt(braced[1], 16));
  const hex = reader.match(/x([0-9A-Fa-f]{1,2})/y) ?? reader.match(/u([0-9A-Fa-f]{4})/y);
  if (hex) return fromCode(reader, parseInt(hex[1], 16));
  if (reader.looksAt('u')) reader.fail('has \\u without four digits');
  const octal = reader.match(/o\{([0-7]{1,11})\}/y) ?? reader.match(/([0-7]{1,3})/y);
  if (octal) return fromCode(reader, parseInt(octal[1], 8));
  const control = reader.match(/(?:c|C-)([@-_a-z?])/y);
  if (control) return control[1] === '?' ? '\x7f' : String.fromCharCode(control[1].charCodeAt(0) & 0x1f);
  const char = reader.next();
  return CONTROLS[char] ?? char;
}

function fromCode(reader: PatternReader, code: number): string {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) reader.fail('has an escape that is no character');
  return String.fromCodePoint(code);
}
