/** A parsed JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** Whether a value is a JSON object: not null, and not an array. */
export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Levels of nesting: Python's parser ends below 1,000, and published files have about ten. */
const MAX_DEPTH = 256;
/**
 * Values of one text, counting members and items. Even an empty container takes 50 bytes of memory and a key takes 80, so
 * that 100 MB of `[],` would need more memory than V8 has, and end the process. The largest published index has 100,000.
 */
const MAX_VALUES = 500_000;

/** A text that is not JSON. The message says where and what was expected, and quotes nothing of the text. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/**
 * Parses JSON as Python does, which writes most of a model's files: `NaN`, `Infinity` and `-Infinity` are numbers, and the
 * last of two equal keys counts. At most 256 levels deep.
 *
 * @param maxValues The largest number of values, counting members and items. Default: 500,000.
 * @throws {JsonError} with line and column. `JSON.parse` would quote the text, which may be a file that is private.
 */
export function parseJson(text: string, maxValues = MAX_VALUES): unknown {
  if (text.startsWith('\ufeff')) throw new JsonError('expected JSON without a byte order mark at its beginning');
  checkSize(text, maxValues);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Several times slower than the built-in parser, so it reads only texts that the latter refuses.
    return new Parser(text).parse();
  }
}

/** Bounds depth and number of values before parsing, so that the value fits in memory and recursion over it in the stack. */
function checkSize(text: string, maxValues: number): void {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      do {
        at++;
        if (text.charCodeAt(at) === 0x5c) at += 2;
      } while (at < text.length && text.charCodeAt(at) !== 0x22);
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > MAX_DEPTH) throw failure(text, at, `at most ${MAX_DEPTH} levels of nesting`);
      values++;
    } else if (code === 0x2c) values++;
    else if (code === 0x5d || code === 0x7d) depth--;
    if (values > maxValues) throw failure(text, at, `at most ${maxValues} values`);
  }
}

function failure(text: string, at: number, expected: string): JsonError {
  let [line, start] = [1, 0];
  for (let end = text.indexOf('\n'); end !== -1 && end < at; end = text.indexOf('\n', start)) {
    line++;
    start = end + 1;
  }
  return new JsonError(`line ${line}, column ${at - start + 1}: expected ${expected}`);
}

const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);
const WORD = /true|false|null|NaN|-?Infinity/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
// eslint-disable-next-line no-control-regex -- JSON forbids them inside strings
const STRING_PART = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** A recursive descent parser; `checkSize` has bounded the depth. */
class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): unknown {
    const value = this.#value();
    if (this.#peek() !== '') this.#fail('nothing after the value');
    return value;
  }

  #value(): unknown {
    const next = this.#peek();
    if (next === '{') return this.#object();
    if (next === '[') return this.#array();
    if (next === '"') return this.#string();
    const word = this.#match(WORD);
    if (word !== undefined) return WORDS.get(word);
    return Number(this.#match(NUMBER) ?? this.#fail('a value'));
  }

  #object(): Json {
    const members: [string, unknown][] = [];
    this.#list('}', () => {
      if (this.#peek() !== '"') this.#fail('a key in double quotes');
      const key = this.#string();
      if (this.#peek() !== ':') this.#fail('":" after a key');
      this.#at++;
      members.push([key, this.#value()]);
    });
    return Object.fromEntries(members); // Makes a plain key of `__proto__` too.
  }

  #array(): unknown[] {
    const items: unknown[] = [];
    this.#list(']', () => items.push(this.#value()));
    return items;
  }

  #list(close: string, item: () => void): void {
    this.#at++;
    if (this.#peek() !== close) {
      item();
      while (this.#peek() === ',') {
        this.#at++;
        item();
      }
    }
    if (this.#peek() !== close) this.#fail(`"," or "${close}"`);
    this.#at++;
  }

  #string(): string {
    const start = this.#at++;
    for (;;) {
      this.#match(STRING_PART);
      const next = this.#text.charAt(this.#at);
      if (next === '"') break;
      if (next !== '\\') this.#fail('the end of a string');
      if (this.#match(ESCAPE) === undefined) this.#fail('an escape of JSON');
    }
    return JSON.parse(this.#text.slice(start, ++this.#at)) as string;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  /** Skips white space and gives the next character; '' at the end. */
  #peek(): string {
    while (' \t\r\n'.includes(this.#text[this.#at] ?? 'end')) this.#at++;
    return this.#text.charAt(this.#at);
  }

  #fail(expected: string): never {
    throw failure(this.#text, this.#at, expected);
  }
}
