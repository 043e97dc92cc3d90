/**
 * Word characters (`\w`). This and the following are character classes of Oniguruma, each as the inside of a class of a
 * JavaScript pattern with the flag `v`.
 *
 * Source: doc/RE of Oniguruma 6.9, sections 3 and 6.
 */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}';
/** Word characters outside of brackets, where Oniguruma's table for U+0000 to U+00FF also has superscripts and fractions. */
export const WORD_ALONE = `${WORD}\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}`;
/** White space (`\s`). */
export const SPACE = '\\p{White_Space}';
/** Decimal digits (`\d`). */
export const DIGIT = '\\p{Nd}';
/** Hexadecimal digits (`\h`). */
export const HEX_DIGIT = '0-9A-Fa-f';
const GRAPH = '[^\\p{White_Space}\\p{Cc}\\p{Cn}\\p{Cs}]';

/** The classes `[[:name:]]`, also written `\p{name}` in any case, by name. */
export const POSIX = new Map([
  ['alnum', '\\p{Alphabetic}\\p{Nd}'],
  ['alpha', '\\p{Alphabetic}'],
  ['ascii', '\\u{0}-\\u{7f}'],
  ['blank', '\\t\\p{Zs}'],
  ['cntrl', '\\p{Cc}'],
  ['digit', DIGIT],
  ['graph', GRAPH],
  ['lower', '\\p{Lowercase}'],
  ['print', `${GRAPH}\\p{Zs}`],
  ['punct', '\\p{P}\\p{S}'], // `\p{Punct}`, however, has no symbols.
  ['space', SPACE],
  ['upper', '\\p{Uppercase}'],
  ['xdigit', HEX_DIGIT],
  ['word', WORD],
]);

const found = new Map<string, string | undefined>();

/** `\p{name}` as the inside of a class; undefined when unknown. Case, spaces, hyphens and underscores do not matter. */
export function property(name: string): string | undefined {
  const key = name.toLowerCase().replace(/[ _-]/g, '');
  if (!found.has(key)) found.set(key, find(name, key));
  return found.get(key);
}

function find(name: string, key: string): string | undefined {
  const posix = key === 'punct' ? '\\p{P}' : POSIX.get(key);
  if (posix !== undefined) return posix;
  if (!/^[A-Za-z0-9 _-]{1,50}$/.test(name)) return undefined;
  const words = name.split(/[ _-]/).map((word) => word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase());
  for (const spelling of [name, words.join('_'), words.join('')]) {
    for (const prefix of ['', 'Script=']) {
      const escape = `\\p{${prefix}${spelling}}`;
      if (isKnown(escape)) return escape;
    }
  }
  return undefined;
}

function isKnown(escape: string): boolean {
  try {
    new RegExp(`^[${escape}]$`, 'v');
    return true;
  } catch {
    return false;
  }
}
