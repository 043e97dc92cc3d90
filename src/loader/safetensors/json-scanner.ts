/** JSON that breaks a rule; `at` is the index of the byte. */
export class JsonSyntaxError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** The levels of nesting that the safetensors format's own reader allows. */
const MAX_DEPTH = 127;

const [QUOTE, BACKSLASH, MINUS, ZERO, NINE, POINT, LETTER_U] = Buffer.from('"\\-09.u');

const isHexadecimal = (byte: number): boolean =>
  (byte >= ZERO && byte <= NINE) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);

/**
 * Reads JSON in UTF-8 from bytes, item by item, so that a long text is held once and only the strings and integers that a
 * caller asks for become JavaScript values. Every method throws {@link JsonSyntaxError} where the text is something else.
 */
export class JsonScanner {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /**
   * An object: `member` is called at each key. `most` is the largest number of members, and `what` their name in the error.
   */
  object(member: () => void, { most, what }: { most: number; what: string } = { most: Infinity, what: '' }): void {
    let count = 0;
    this.#list('{', '}', () => {
      if (count++ >= most) this.fail(`expected at most ${most} ${what}, got more`);
      member();
    });
  }

  /** An array: `item` is called at each item. */
  array(item: () => void): void {
    this.#list('[', ']', item);
  }

  /** The key of a member, a string of at most `mostBytes` bytes (default: any length), and the colon after it. */
  key(mostBytes?: number): string {
    const key = this.string(mostBytes);
    this.#expect(':');
    return key;
  }

  /** A string of at most `mostBytes` bytes, default any length, of whole Unicode characters. */
  string(mostBytes = Infinity): string {
    const start = this.#at;
    const hasEscapes = this.#skipString();
    const from = this.#bytes.indexOf(QUOTE, start);
    if (this.#at - from - 2 > mostBytes)
      this.fail(`expected a name of at most ${mostBytes} bytes, got ${this.#at - from - 2}`, from);
    if (!hasEscapes) return this.#bytes.toString('utf8', from + 1, this.#at - 1);
    const value = JSON.parse(this.#bytes.toString('utf8', from, this.#at)) as string;
    if (/\p{Surrogate}/u.test(value)) this.fail('expected whole Unicode characters, got half a surrogate pair');
    return value;
  }

  /** A whole number from 0 to 2^53 - 1, without sign, point or exponent. */
  integer(): number {
    this.peek();
    const start = this.#at;
    let value = 0;
    for (let digit = this.#digit(); digit >= 0; digit = this.#digit()) {
      value = value * 10 + digit;
      if (value > Number.MAX_SAFE_INTEGER)
        this.fail('expected a number up to 2^53 - 1 (larger ones are not supported)');
      this.#at++;
    }
    const leadingZero = this.#bytes[start] === ZERO && this.#at > start + 1;
    if (this.#at === start || leadingZero || this.#isNext('.eE'))
      this.fail('expected a whole number without sign, point or exponent', start);
    return value;
  }

  /** The word `null`, `true` or `false`. */
  word(word: 'null' | 'true' | 'false'): void {
    if (this.#bytes.toString('latin1', this.#at, this.#at + word.length) !== word) this.fail('expected a value');
    this.#at += word.length;
  }

  /** Skips a value of any type; it must still be JSON. @param depth The level of nesting that it is at. */
  skipValue(depth: number): void {
    if (depth > MAX_DEPTH) this.fail(`expected at most ${MAX_DEPTH} levels of nesting`);
    const next = this.peek();
    if (next === '{')
      this.object(() => {
        this.#skipString();
        this.#expect(':');
        this.skipValue(depth + 1);
      });
    else if (next === '[')
      this.array(() => {
        this.skipValue(depth + 1);
      });
    else if (next === '"') this.#skipString();
    else if (next === 't') this.word('true');
    else if (next === 'f') this.word('false');
    else if (next === 'n') this.word('null');
    else this.#skipNumber();
  }

  /** The next character that is not white space; '' at the end. */
  peek(): string {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return this.#character();
      this.#at++;
    }
  }

  /** @throws {JsonSyntaxError} always; `at` defaults to the next byte. */
  fail(message: string, at = this.#at): never {
    throw new JsonSyntaxError(message, at);
  }

  #list(open: string, close: string, item: () => void): void {
    this.#expect(open);
    if (this.peek() !== close) {
      item();
      while (this.peek() === ',') {
        this.#at++;
        item();
      }
    }
    this.#expect(close);
  }

  /** Skips a string. Returns whether it has escapes. */
  #skipString(): boolean {
    this.#expect('"');
    let hasEscapes = false;
    for (;;) {
      const byte = this.#bytes.at(this.#at);
      if (byte === QUOTE) break;
      if (byte === undefined || byte < 0x20) this.fail('expected the end of a string');
      this.#at++;
      if (byte !== BACKSLASH) continue;
      hasEscapes = true;
      if (this.#bytes[this.#at] === LETTER_U) {
        const end = this.#at++ + 5;
        for (; this.#at < end; this.#at++)
          if (!isHexadecimal(this.#bytes[this.#at])) this.fail('expected 4 hexadecimal digits');
      } else if (this.#isNext('"\\/bfnrt')) this.#at++;
      else this.fail('expected an escape of JSON');
    }
    this.#at++;
    return hasEscapes;
  }

  #skipNumber(): void {
    const start = this.#at;
    if (this.#bytes[this.#at] === MINUS) this.#at++;
    const first = this.#bytes[this.#at];
    if (this.#skipDigits() === 0) this.fail('expected a value', start);
    if (first === ZERO && this.#at > start + (this.#bytes[start] === MINUS ? 2 : 1))
      this.fail('expected a value', start);
    if (this.#bytes[this.#at] === POINT) {
      this.#at++;
      if (this.#skipDigits() === 0) this.fail('expected a digit');
    }
    let isFinite = this.#at - start < 300;
    if (this.#isNext('eE')) {
      this.#at++;
      if (this.#isNext('+-')) this.#at++;
      if (this.#skipDigits() === 0) this.fail('expected a digit');
      isFinite = false;
    }
    // Numbers with an exponent or many digits are the only ones that can exceed a double.
    if (!isFinite && !Number.isFinite(Number(this.#bytes.toString('latin1', start, this.#at))))
      this.fail('expected a number that a double can hold', start);
  }

  /** Skips digits. Returns how many. */
  #skipDigits(): number {
    const start = this.#at;
    while (this.#digit() >= 0) this.#at++;
    return this.#at - start;
  }

  /** The value of the next byte as a digit; -1 where it is none. */
  #digit(): number {
    const byte = this.#bytes[this.#at];
    return byte >= ZERO && byte <= NINE ? byte - ZERO : -1;
  }

  #expect(character: string): void {
    if (this.peek() !== character) this.fail(`expected ${character}`);
    this.#at++;
  }

  /** The next byte as a character, which is right for ASCII; '' at the end. */
  #character(): string {
    return this.#at < this.#bytes.length ? String.fromCharCode(this.#bytes[this.#at]) : '';
  }

  #isNext(oneOf: string): boolean {
    return this.#at < this.#bytes.length && oneOf.includes(this.#character());
  }
}
