import { quote } from '../../quote.ts';
import { GgufError } from './gguf-error.ts';
import type { GgufArray, GgufValue } from './metadata-values.ts';

/** The kinds of value that callers ask for, and their types. */
interface Kinds {
  readonly text: string;
  /** From 0 on. An array of equal integers, one for each layer, counts as one integer. */
  readonly integer: number;
  readonly number: number;
  readonly flag: boolean;
  readonly texts: readonly string[];
  readonly numbers: readonly number[];
  readonly flags: readonly boolean[];
}

const isText = (value: GgufValue) => typeof value === 'string';
const isNumber = (value: GgufValue) => typeof value === 'number';
const isFlag = (value: GgufValue) => typeof value === 'boolean';
const isArray = (value: GgufValue): value is GgufArray => typeof value === 'object';

const CHECKS: Record<keyof Kinds, (value: GgufValue) => boolean> = {
  text: isText,
  integer: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  number: (value) => Number.isFinite(value),
  flag: isFlag,
  texts: (value) => Array.isArray(value) && value.every(isText),
  numbers: (value) => Array.isArray(value) && value.every(isNumber),
  flags: (value) => Array.isArray(value) && value.every(isFlag),
};

const NAMES: Record<keyof Kinds, string> = {
  text: 'a string',
  integer: 'a whole number from 0 on',
  number: 'a finite number',
  flag: 'a boolean',
  texts: 'an array of strings',
  numbers: 'an array of numbers',
  flags: 'an array of booleans',
};

/**
 * The largest array that is decoded. The largest published one, of merges, has 580,000 items; decoded, an item takes a hundred
 * times its bytes.
 */
const MAX_ITEMS = 3 * 2 ** 18;

/** The metadata of a GGUF file by key and kind. It records which keys were asked for. */
export class Metadata {
  /** The path of the file, for errors. */
  readonly file: string;
  readonly #values: ReadonlyMap<string, GgufValue>;
  readonly #asked = new Set<string>();

  constructor(file: string, values: ReadonlyMap<string, GgufValue>) {
    this.file = file;
    this.#values = values;
  }

  /** The value of a key; undefined where there is none. @throws {GgufError} when the value is of another kind */
  get<K extends keyof Kinds>(kind: K, key: string): Kinds[K] | undefined {
    this.#asked.add(key);
    const stored = this.#values.get(key);
    if (stored === undefined) return undefined;
    const value = isArray(stored) ? this.#unpack(kind, key, stored) : stored;
    if (!CHECKS[kind](value)) this.fail(key, `expected ${NAMES[kind]}, got ${describe(stored)}`);
    return value as Kinds[K];
  }

  /** The value of a key. @throws {GgufError} when there is none, or it is of another kind */
  need<K extends keyof Kinds>(kind: K, key: string): Kinds[K] {
    return this.get(kind, key) ?? this.fail(key, `expected ${NAMES[kind]}, and there is none`);
  }

  /** Whether the value of a key is an array. */
  isArray(key: string): boolean {
    return typeof this.#values.get(key) === 'object';
  }

  /** The keys with this prefix that were not asked for. */
  unread(prefix: string): string[] {
    return [...this.#values.keys()].filter((key) => key.startsWith(prefix) && !this.#asked.has(key));
  }

  /** Throws a GgufError about a key. */
  fail(key: string, problem: string, remedy = 'Convert the model again with a current llama.cpp.'): never {
    throw new GgufError(`${this.file}: metadata key ${quote(key)}: ${problem}. ${remedy}`);
  }

  #unpack(kind: keyof Kinds, key: string, array: GgufArray): GgufValue {
    if (array.length > MAX_ITEMS)
      this.fail(key, `expected at most ${MAX_ITEMS} items, got ${array.length}`, 'Is it the right file?');
    const items = [...array];
    return kind === 'integer' && items.length > 0 && items.every((item) => item === items[0]) ? items[0] : items;
  }
}

const describe = (value: GgufValue): string =>
  isArray(value) ? `an array of ${value.length}` : `${typeof value} ${quote(String(value).slice(0, 60))}`;
