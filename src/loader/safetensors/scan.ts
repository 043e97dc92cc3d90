import { quote } from '../load-error.ts';
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
  /** Index of the character. */
  readonly at: number;
  /** The tensor whose entry it is in. */
  readonly entry: string | undefined;

  constructor(message: string, at: number, entry: string | undefined) {
    super(message);
    this.at = at;
    this.entry = entry;
  }
}

/** Nesting that the format's own reader allows; only fields that are ignored can nest. */
const MAX_DEPTH = 127;

// eslint-disable-next-line no-control-regex -- JSON forbids them inside strings
const STRING_END = /["\\\u0000-\u001f]/g;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t',
}; // prettier-ignore
const INTEGER = /(?:0|[1-9][0-9]*)(?![0-9.eE])/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
const WORD = /true|false|null/y;

/**
 * Scans the JSON of a safetensors header: `{ name: { dtype, shape, data_offsets }, __metadata__: { key: value } }`.
 * `JSON.parse` would not do: it keeps the last of two equal keys, takes 4.0 for 4 and rounds 2^53 + 1.
 */
export function scanHeader(text: string): ScannedHeader {
  return new Scanner(text).header();
}

class Scanner {
  private readonly text: string;
  private at = 0;
  private entry: string | undefined;

  constructor(text: string) {
    this.text = text;
  }

  header(): ScannedHeader {
    const entries = new Map<string, HeaderEntry>();
    let metadata: ReadonlyMap<string, string> | undefined;
    this.object((name) => {
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
      this.token(WORD, 'null');
      return metadata;
    }
    this.object((key) => {
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
    this.object((field) => {
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
    if (depth > MAX_DEPTH) this.fail(`expected at most ${MAX_DEPTH} levels of nesting`);
    const next = this.peek();
    if (next === '{')
      this.object(() => {
        this.anything(depth + 1);
      });
    else if (next === '[')
      this.array(() => {
        this.anything(depth + 1);
      });
    else if (next === '"') this.string();
    else if (/[-0-9]/.test(next)) {
      if (!Number.isFinite(Number(this.token(NUMBER, 'a number'))))
        this.fail('expected a number that a double can hold');
    } else this.token(WORD, 'a value');
  }

  private integers(): number[] {
    const values: number[] = [];
    this.array(() => {
      this.peek();
      const value = Number(this.token(INTEGER, 'a whole number without sign, point or exponent'));
      if (!Number.isSafeInteger(value)) this.fail('expected a number up to 2^53 - 1 (larger ones are not supported)');
      values.push(value);
    });
    return values;
  }

  private object(member: (key: string) => void): void {
    this.list('{', '}', () => {
      const key = this.string();
      this.expect(':');
      member(key);
    });
  }

  private array(item: () => void): void {
    this.list('[', ']', item);
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

  private string(): string {
    this.expect('"');
    let value = '';
    for (;;) {
      STRING_END.lastIndex = this.at;
      const end = STRING_END.exec(this.text)?.index ?? this.text.length;
      value += this.text.slice(this.at, end);
      this.at = end + 1;
      if (this.text[end] === '"') break;
      if (this.text[end] !== '\\') this.fail('expected the end of a string', end);
      value += this.escape();
    }
    if (/\p{Surrogate}/u.test(value)) this.fail('expected whole Unicode characters, got half a surrogate pair');
    return value;
  }

  private escape(): string {
    const letter = this.text.charAt(this.at++);
    if (letter !== 'u') return ESCAPES[letter] ?? this.fail('expected an escape of JSON', this.at - 1);
    const hex = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) this.fail('expected 4 hexadecimal digits');
    this.at += 4;
    return String.fromCharCode(parseInt(hex, 16));
  }

  private token(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) return this.fail(`expected ${what}`);
    this.at += found.length;
    return found;
  }

  private expect(character: string): void {
    if (this.peek() !== character) this.fail(`expected ${character}`);
    this.at++;
  }

  /** The next character that is no white space; '' at the end. */
  private peek(): string {
    while (' \t\r\n'.includes(this.text[this.at] ?? 'end')) this.at++;
    return this.text.charAt(this.at);
  }

  private fail(message: string, at = this.at): never {
    throw new HeaderSyntaxError(message, at, this.entry);
  }
}
