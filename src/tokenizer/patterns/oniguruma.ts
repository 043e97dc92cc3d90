import { caseVariants } from './case-folding.ts';
import { characterClass, setEscape } from './character-class.ts';
import { escapedCharacter, literal } from './escapes.ts';
import { WORD_ALONE } from './character-properties.ts';
import { PatternReader } from './pattern-reader.ts';

/** Groups within groups. */
const MAX_DEPTH = 100;
/** Repetitions in `{n,m}`: the limit of Oniguruma. */
const MAX_REPEATS = 100_000;

/**
 * Translates a pattern of Oniguruma (its own syntax, UTF-8, as in the Rust crate `tokenizers`) to JavaScript, with the flags
 * `g` and `v`. Atomic groups and possessive quantifiers, which JavaScript lacks, become a capture in a lookahead and a
 * reference to it.
 *
 * @throws {SyntaxError} when the pattern is malformed, or uses a feature without a counterpart in JavaScript (`\G`, `\K`,
 *   `\X`, `\y`, subexpression calls, conditionals, absent operators).
 */
export function fromOniguruma(source: string): RegExp {
  return new RegExp(new Translator(source).translate(), 'gv');
}

interface Options {
  /** (?i) */
  readonly ignoreCase: boolean;
  /** (?m): the dot matches line feeds too. */
  readonly dotAll: boolean;
  /** (?x): white space and comments are ignored. */
  readonly extended: boolean;
}

interface Atom {
  readonly text: string;
  /** Whether a quantifier may follow. */
  readonly quantifiable: boolean;
}

/** Not `[^]`, which V8 before version 12 cannot repeat with the flag `v`. */
const ANY = '[\\s\\S]';
const LINE_FEED = '\\n';
const word = { is: `[${WORD_ALONE}]`, isNot: `[^${WORD_ALONE}]` };
const ANCHORS: Readonly<Partial<Record<string, string>>> = {
  A: `(?<!${ANY})`,
  z: `(?!${ANY})`,
  Z: `(?=\\n?(?!${ANY}))`,
  b: `(?:(?<!${word.is})(?=${word.is})|(?<=${word.is})(?!${word.is}))`,
  B: `(?:(?<!${word.is})(?!${word.is})|(?<=${word.is})(?=${word.is}))`,
};
const LINE_START = `(?:(?<!${ANY})|(?<=\\n)(?=${ANY}))`;
const LINE_END = `(?=\\n|(?!${ANY}))`;
const NEWLINE = '\\r\\n|[\\n-\\r\\u{85}\\u{2028}\\u{2029}]';

class Translator {
  readonly #reader: PatternReader;
  /** Whether plain parentheses capture, which they do not in a pattern with named groups. */
  readonly #plainGroupsCapture: boolean;
  readonly #groupCount: number;
  #groups = 0;
  #atomicGroups = 0;
  #depth = 0;

  constructor(source: string) {
    this.#reader = new PatternReader(source);
    this.#plainGroupsCapture = !/\(\?(?:<[^=!]|')/.test(source);
    this.#groupCount = source.match(this.#plainGroupsCapture ? /\((?!\?)/g : /\(\?(?:<[^=!]|')/g)?.length ?? 0;
  }

  translate(): string {
    const text = this.#alternatives({ ignoreCase: false, dotAll: false, extended: false });
    if (!this.#reader.done) this.#reader.fail('has a ) without a (');
    return text;
  }

  #alternatives(options: Options): string {
    if (++this.#depth > MAX_DEPTH) this.#reader.fail(`has more than ${MAX_DEPTH} groups within each other`);
    const branches: string[] = [];
    do branches.push(this.#sequence(options));
    while (this.#reader.take('|'));
    this.#depth--;
    return branches.join('|');
  }

  #sequence(options: Options): string {
    const reader = this.#reader;
    let text = '';
    while (!reader.done && !reader.looksAt('|') && !reader.looksAt(')')) {
      if (options.extended && reader.match(/\s+|#[^\n]*/y)) continue;
      if (reader.match(/\(\?#(?:[^\\)]|\\[^])*\)/y)) continue;
      const isolated = reader.match(/\(\?([imx]*)(?:-([imx]*))?\)/y);
      // An isolated option applies to the rest of the enclosing group, alternatives included.
      if (isolated) return `${text}(?:${this.#alternatives(changed(options, isolated))})`;
      const atom = this.#atom(options);
      text += atom.quantifiable ? this.#quantified(atom.text) : atom.text;
    }
    return text;
  }

  #quantified(atom: string): string {
    const reader = this.#reader;
    let text = atom;
    for (let times = 0; ; times++) {
      const found: readonly string[] | undefined = reader.match(/([?*+])([?+]?)/y) ?? this.#interval();
      if (!found) return text;
      if (times > 0) text = `(?:${text})`;
      const [, quantifier, mode] = found;
      if (mode === '+') text = this.#atomic(text + quantifier);
      else text += quantifier + mode;
    }
  }

  /** Reads `{n,m}`. In Oniguruma, `{n}?` is optional rather than reluctant, `{5,2}` is possessive, and a `+` after it repeats. */
  #interval(): [string, string, string] | undefined {
    const reader = this.#reader;
    const found = reader.match(/\{(\d{0,6})(,?)(\d{0,6})\}/y);
    if (!found) return undefined;
    const [whole, least, comma, most] = found;
    if (least === '' && most === '') {
      reader.at -= whole.length;
      return undefined;
    }
    const [from, to] = [Number(least), Number(most)];
    if (Math.max(from, to) > MAX_REPEATS) reader.fail(`repeats more than ${MAX_REPEATS} times`);
    if (comma === '') return ['', `{${least}}`, ''];
    if (most !== '' && from > to) return ['', `{${to},${from}}`, '+'];
    return ['', `{${from},${most}}`, reader.take('?') ? '?' : ''];
  }

  #atomic(text: string): string {
    const name = `a${++this.#atomicGroups}`;
    return `(?:(?=(?<${name}>${text}))\\k<${name}>)`;
  }

  #atom(options: Options): Atom {
    const reader = this.#reader;
    if (reader.take('[')) return plain(characterClass(reader, options.ignoreCase));
    if (reader.take('(')) return this.#group(options);
    if (reader.take('.')) return plain(options.dotAll ? ANY : `[^${LINE_FEED}]`);
    if (reader.take('^')) return anchor(LINE_START);
    if (reader.take('$')) return anchor(LINE_END);
    if (reader.looksAt('\\')) return this.#escape(options);
    if (/[?*+]/.test(reader.peek())) reader.fail('has a quantifier of nothing');
    return plain(character(reader.next(), options));
  }

  #escape(options: Options): Atom {
    const reader = this.#reader;
    const wordEscape = reader.match(/\\(?:([wW])|([pP])\{(\^?)word\})/iy);
    if (wordEscape) {
      const [, short, long, caret] = wordEscape;
      return plain(short === 'W' || (long === 'P') !== (caret === '^') ? word.isNot : word.is);
    }
    const set = setEscape(reader);
    if (set !== undefined) return plain(`[${set}]`);
    reader.next();
    const here = reader.at;
    const next = reader.next();
    const found = ANCHORS[next];
    if (found !== undefined) return anchor(found);
    if (next === 'N') return plain(`[^${LINE_FEED}]`);
    if (next === 'O') return plain(ANY);
    if (next === 'R') return plain(this.#atomic(NEWLINE));
    if (/[GKXyYgM]/.test(next)) reader.fail(`uses \\${next}, which is not supported`);
    reader.at = here;
    const named = reader.match(/k(?:<(\w+)>|'(\w+)')/y);
    if (named) return plain(this.#backreference(named[1] || named[2]));
    const number = /^[1-9]\d?/.exec(reader.source.slice(here, here + 2))?.[0];
    if (number !== undefined && (number.length === 1 || Number(number) <= this.#groupCount)) {
      reader.at += number.length;
      return plain(this.#backreference(number));
    }
    return plain(character(escapedCharacter(reader), options));
  }

  #backreference(name: string): string {
    const isNumber = /^\d+$/.test(name);
    if (isNumber && (Number(name) > this.#groupCount || !this.#plainGroupsCapture)) {
      this.#reader.fail(`refers to group ${name}, which it does not have`);
    }
    return isNumber ? `\\k<g${name}>` : `\\k<n${name}>`;
  }

  #group(options: Options): Atom {
    const reader = this.#reader;
    if (!reader.take('?')) {
      const open = this.#plainGroupsCapture ? `(?<g${++this.#groups}>` : '(?:';
      return plain(this.#rest(open, options));
    }
    for (const open of ['=', '!', '<=', '<!']) if (reader.take(open)) return anchor(this.#rest(`(?${open}`, options));
    if (reader.take(':')) return plain(this.#rest('(?:', options));
    if (reader.take('>')) return plain(this.#atomic(this.#inside(options)));
    const named = reader.match(/<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)'/y);
    if (named) return plain(this.#rest(`(?<n${named[1] || named[2]}>`, options));
    const local = reader.match(/([imx]*)(?:-([imx]*))?:/y);
    if (local) return plain(this.#rest('(?:', changed(options, local)));
    return reader.fail(`has a group of a kind that is not supported, (?${reader.peek()}`);
  }

  #rest(open: string, options: Options): string {
    return `${open}${this.#inside(options)})`;
  }

  #inside(options: Options): string {
    const text = this.#alternatives(options);
    if (!this.#reader.take(')')) this.#reader.fail('has a ( without a )');
    return text;
  }
}

const plain = (text: string): Atom => ({ text, quantifiable: true });
const anchor = (text: string): Atom => ({ text, quantifiable: false });

function character(char: string, { ignoreCase }: Options): string {
  const all = ignoreCase ? caseVariants(char) : char;
  return all === char ? literal(char) : `[${Array.from(all, literal).join('')}]`;
}

function changed(options: Options, [, on, off = '']: readonly (string | undefined)[]): Options {
  const set = (letter: string, before: boolean) => !off.includes(letter) && (before || on!.includes(letter));
  return {
    ignoreCase: set('i', options.ignoreCase),
    dotAll: set('m', options.dotAll),
    extended: set('x', options.extended),
  };
}
