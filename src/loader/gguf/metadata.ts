import { quote } from '../../quote.ts';
import { GgufError } from './gguf-error.ts';
import type { GgufArray, GgufValue } from './metadata-values.ts';

/** The kinds of value that are asked for. */
interface Kinds {
  readonly text: string;
  /** Also an array of equal ones, which says the same of every layer. */
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
  integer: 'a whole number that is not negative',
  number: 'a finite number',
  flag: 'a boolean',
  texts: 'an array of strings',
  numbers: 'an array of numbers',
  flags: 'an array of booleans',
};

/** Of an array that is asked for. The largest published one, of merges, has 580,000; an item costs a hundred times its bytes. */
const MAX_ITEMS = 3 * 2 ** 18;

/** The metadata of a GGUF file, asked for by key and kind. */
export class Metadata {
  readonly file: string;
  private readonly values: ReadonlyMap<string, GgufValue>;
  private readonly asked = new Set<string>();

  constructor(file: string, values: ReadonlyMap<string, GgufValue>) {
    this.file = file;
    this.values = values;
  }

  /** @throws GgufError when the value is of another kind */
  get<K extends keyof Kinds>(kind: K, key: string): Kinds[K] | undefined {
    this.asked.add(key);
    const stored = this.values.get(key);
    if (stored === undefined) return undefined;
    const value = isArray(stored) ? this.unpack(kind, key, stored) : stored;
    if (!CHECKS[kind](value)) this.fail(key, `expected ${NAMES[kind]}, got ${describe(stored)}`);
    return value as Kinds[K];
  }

  /** @throws GgufError when there is none, or the value is of another kind */
  need<K extends keyof Kinds>(kind: K, key: string): Kinds[K] {
    return this.get(kind, key) ?? this.fail(key, `expected ${NAMES[kind]}, and there is none`);
  }

  isArray(key: string): boolean {
    return typeof this.values.get(key) === 'object';
  }

  /** The keys with this beginning that nobody has asked for. */
  unread(prefix: string): string[] {
    return [...this.values.keys()].filter((key) => key.startsWith(prefix) && !this.asked.has(key));
  }

  fail(key: string, problem: string, remedy = 'Convert the model again with a current llama.cpp.'): never {
    throw new GgufError(`${this.file}: metadata key ${quote(key)}: ${problem}. ${remedy}`);
  }

  private unpack(kind: keyof Kinds, key: string, array: GgufArray): GgufValue {
    if (array.length > MAX_ITEMS)
      this.fail(key, `expected at most ${MAX_ITEMS} items, got ${array.length}`, 'Is it the right file?');
    const items = [...array];
    return kind === 'integer' && items.length > 0 && items.every((item) => item === items[0]) ? items[0] : items;
  }
}

const describe = (value: GgufValue): string =>
  isArray(value) ? `an array of ${value.length}` : `${typeof value} ${quote(String(value).slice(0, 60))}`;
