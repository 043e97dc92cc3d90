import { quote } from '../../quote.ts';
import { isSafetensorsDType, SAFETENSORS_DTYPES, type SafetensorsDType } from './dtypes.ts';

/** A tensor as the header describes it; only its syntax and dtype have been checked. */
export interface HeaderEntry {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly dataOffsets: readonly [number, number];
}

export interface ScannedHeader {
  readonly entries: ReadonlyMap<string, HeaderEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

export class HeaderSyntaxError extends Error {
  /** Index of the byte. */
  readonly at: number;
  /** The tensor whose entry it is in. */
  readonly entry: string | undefined;

  constructor(message: string, at: number, entry: string | undefined) {
    super(message);
    this.at = at;
    this.entry = entry;
  }
}

/**
 * What a header may hold, far above what published files do: it may have 100 MB, which as so many small values would take
 * gigabytes of memory.
 */
export const HEADER_LIMITS = {
  /** DeepSeek-V3 has 92,000, in 163 files. */
  tensors: 2 ** 17,
  /** As many as an array of NumPy or a tensor of PyTorch has at most. */
  dimensions: 64,
  /** The longest names have some 150 bytes. */
  nameBytes: 1000,
  metadata: 2 ** 16,
  /** Nesting that the format's own reader allows; only fields that are ignored can nest. */
  depth: 127,
} as const;

/**
 * Scans the JSON of a safetensors header, in UTF-8: `{ name: { dtype, shape, data_offsets }, __metadata__: { key: value } }`.
 * `JSON.parse` would not do: it keeps the last of two equal keys, takes 4.0 for 4 and rounds 2^53 + 1.
 */
export function scanHeader(bytes: Buffer): ScannedHeader {
  return new Scanner(bytes).header();
}

const [QUOTE, BACKSLASH, MINUS, ZERO, NINE, POINT, LETTER_U] = Buffer.from('"\\-09.u');

const isHexadecimal = (byte: number): boolean =>
  (byte >= ZERO && byte <= NINE) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);

/** Works on bytes, so that a long header is held once and only its names and numbers become values. */
class Scanner {
  private readonly bytes: Buffer;
  private at = 0;
  private entry: string | undefined;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  header(): ScannedHeader {
    const entries = new Map<string, HeaderEntry>();
    let metadata: ReadonlyMap<string, string> | undefined;
    this.object(HEADER_LIMITS.tensors, 'tensors', () => {
      const name = this.string(HEADER_LIMITS.nameBytes);
      this.expect(':');
      if (name === '__metadata__') {
        if (metadata !== undefined) this.fail('expected one __metadata__, got a second');
        metadata = this.metadata();
      } else {
        this.entry = name;
        if (entries.has(name)) this.fail('expected each name once, got it twice');
        entries.set(name, this.tensor());
        this.entry = undefined;
      }
    });
    if (this.peek() !== '') this.fail('expected only white space after the header');
    return { entries, metadata: metadata ?? new Map<string, string>() };
  }

  private metadata(): ReadonlyMap<string, string> {
    const metadata = new Map<string, string>();
    if (this.peek() === 'n') {
      this.word('null');
      return metadata;
    }
    this.object(HEADER_LIMITS.metadata, 'entries of __metadata__', () => {
      const key = this.string();
      this.expect(':');
      if (metadata.has(key)) this.fail(`expected each key of __metadata__ once, got ${quote(key)} twice`);
      metadata.set(key, this.string());
    });
    return metadata;
  }

  private tensor(): HeaderEntry {
    let dtype: SafetensorsDType | undefined;
    let shape: number[] | undefined;
    let dataOffsets: number[] | undefined;
    const once = (field: string, value: unknown): void => {
      if (value !== undefined) this.fail(`expected ${field} once, got it twice`);
    };
    this.object(Infinity, '', () => {
      const field = this.string();
      this.expect(':');
      if (field === 'dtype') {
        once(field, dtype);
        dtype = this.dtype();
      } else if (field === 'shape') {
        once(field, shape);
        shape = this.integers();
      } else if (field === 'data_offsets') {
        once(field, dataOffsets);
        dataOffsets = this.integers();
        if (dataOffsets.length !== 2) this.fail(`expected 2 data_offsets, got ${dataOffsets.length}`);
      } else this.anything(2);
    });
    if (dtype === undefined) return this.fail('expected a dtype, got none');
    if (shape === undefined) return this.fail('expected a shape, got none');
    if (dataOffsets === undefined) return this.fail('expected data_offsets, got none');
    return { dtype, shape, dataOffsets: dataOffsets as [number, number] };
  }

  private dtype(): SafetensorsDType {
    const name = this.string();
    if (!isSafetensorsDType(name)) {
      return this.fail(`expected a dtype of ${SAFETENSORS_DTYPES.join(' ')}, got ${quote(name)}`);
    }
    return name;
  }

  /** The values of fields that nobody asked for must still be JSON. */
  private anything(depth: number): void {
    if (depth > HEADER_LIMITS.depth) this.fail(`expected at most ${HEADER_LIMITS.depth} levels of nesting`);
    const next = this.peek();
    if (next === '{')
      this.object(Infinity, '', () => {
        this.skipString();
        this.expect(':');
        this.anything(depth + 1);
      });
    else if (next === '[')
      this.list('[', ']', () => {
        this.anything(depth + 1);
      });
    else if (next === '"') this.skipString();
    else if (next === 't') this.word('true');
    else if (next === 'f') this.word('false');
    else if (next === 'n') this.word('null');
    else this.number();
  }

  private integers(): number[] {
    const values: number[] = [];
    this.list('[', ']', () => {
      if (values.length === HEADER_LIMITS.dimensions)
        this.fail(`expected at most ${HEADER_LIMITS.dimensions} dimensions, got more`);
      this.peek();
      const start = this.at;
      let value = 0;
      for (let digit = this.digit(); digit >= 0; digit = this.digit()) {
        value = value * 10 + digit;
        if (value > Number.MAX_SAFE_INTEGER)
          this.fail('expected a number up to 2^53 - 1 (larger ones are not supported)');
        this.at++;
      }
      const leadingZero = this.bytes[start] === ZERO && this.at > start + 1;
      if (this.at === start || leadingZero || this.isNext('.eE'))
        this.fail('expected a whole number without sign, point or exponent', start);
      values.push(value);
    });
    return values;
  }

  private number(): void {
    const start = this.at;
    if (this.bytes[this.at] === MINUS) this.at++;
    const first = this.bytes[this.at];
    if (this.digits() === 0) this.fail('expected a value', start);
    if (first === ZERO && this.at > start + (this.bytes[start] === MINUS ? 2 : 1)) this.fail('expected a value', start);
    if (this.bytes[this.at] === POINT) {
      this.at++;
      if (this.digits() === 0) this.fail('expected a digit');
    }
    let isFinite = this.at - start < 300;
    if (this.isNext('eE')) {
      this.at++;
      if (this.isNext('+-')) this.at++;
      if (this.digits() === 0) this.fail('expected a digit');
      isFinite = false;
    }
    // Only such numbers may be beyond what a double can hold, and are worth looking at.
    if (!isFinite && !Number.isFinite(Number(this.bytes.toString('latin1', start, this.at))))
      this.fail('expected a number that a double can hold', start);
  }

  /** Goes over digits and says how many. */
  private digits(): number {
    const start = this.at;
    while (this.digit() >= 0) this.at++;
    return this.at - start;
  }

  /** The digit that comes next; -1 where none does. */
  private digit(): number {
    const byte = this.bytes[this.at];
    return byte >= ZERO && byte <= NINE ? byte - ZERO : -1;
  }

  private object(most: number, what: string, member: () => void): void {
    let count = 0;
    this.list('{', '}', () => {
      if (count++ >= most) this.fail(`expected at most ${most} ${what}, got more`);
      member();
    });
  }

  private list(open: string, close: string, item: () => void): void {
    this.expect(open);
    if (this.peek() !== close) {
      item();
      while (this.peek() === ',') {
        this.at++;
        item();
      }
    }
    this.expect(close);
  }

  private string(mostBytes = Infinity): string {
    const start = this.at;
    const hasEscapes = this.skipString();
    const from = this.bytes.indexOf(QUOTE, start);
    if (this.at - from - 2 > mostBytes)
      this.fail(`expected a name of at most ${mostBytes} bytes, got ${this.at - from - 2}`, from);
    if (!hasEscapes) return this.bytes.toString('utf8', from + 1, this.at - 1);
    const value = JSON.parse(this.bytes.toString('utf8', from, this.at)) as string;
    if (/\p{Surrogate}/u.test(value)) this.fail('expected whole Unicode characters, got half a surrogate pair');
    return value;
  }

  /** Goes over a string. Returns whether it has escapes. */
  private skipString(): boolean {
    this.expect('"');
    let hasEscapes = false;
    for (;;) {
      const byte = this.bytes.at(this.at);
      if (byte === QUOTE) break;
      if (byte === undefined || byte < 0x20) this.fail('expected the end of a string');
      this.at++;
      if (byte !== BACKSLASH) continue;
      hasEscapes = true;
      if (this.bytes[this.at] === LETTER_U) {
        for (let end = this.at++ + 5; this.at < end; this.at++)
          if (!isHexadecimal(this.bytes[this.at])) this.fail('expected 4 hexadecimal digits');
      } else if (this.isNext('"\\/bfnrt')) this.at++;
      else this.fail('expected an escape of JSON');
    }
    this.at++;
    return hasEscapes;
  }

  private word(word: string): void {
    if (this.bytes.toString('latin1', this.at, this.at + word.length) !== word) this.fail('expected a value');
    this.at += word.length;
  }

  private expect(character: string): void {
    if (this.peek() !== character) this.fail(`expected ${character}`);
    this.at++;
  }

  /** The next character that is no white space; '' at the end. */
  private peek(): string {
    for (;;) {
      const byte = this.bytes[this.at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return this.character();
      this.at++;
    }
  }

  /** The next byte as a character: nobody asks for one beyond ASCII. '' at the end. */
  private character(): string {
    return this.at < this.bytes.length ? String.fromCharCode(this.bytes[this.at]) : '';
  }

  private isNext(oneOf: string): boolean {
    return this.at < this.bytes.length && oneOf.includes(this.character());
  }

  private fail(message: string, at = this.at): never {
    throw new HeaderSyntaxError(message, at, this.entry);
  }
}
