import { GgufError } from './error.ts';
import type { GgufValue } from './header.ts';

/** The kinds of value that are asked for. */
interface Kinds {
  readonly text: string;
  readonly integer: number;
  readonly number: number;
  readonly flag: boolean;
  readonly texts: readonly string[];
  readonly numbers: readonly number[];
}

const isText = (value: GgufValue) => typeof value === 'string';
const isNumber = (value: GgufValue) => typeof value === 'number';

const CHECKS: Record<keyof Kinds, (value: GgufValue) => boolean> = {
  text: isText,
  integer: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  number: (value) => Number.isFinite(value),
  flag: (value) => typeof value === 'boolean',
  texts: (value) => Array.isArray(value) && value.every(isText),
  numbers: (value) => Array.isArray(value) && value.every(isNumber),
};

const NAMES: Record<keyof Kinds, string> = {
  text: 'a string',
  integer: 'a whole number that is not negative',
  number: 'a finite number',
  flag: 'a boolean',
  texts: 'an array of strings',
  numbers: 'an array of numbers',
};

/** The metadata of a GGUF file, asked for by key and kind. */
export class Metadata {
  readonly file: string;
  private readonly values: ReadonlyMap<string, GgufValue>;

  constructor(file: string, values: ReadonlyMap<string, GgufValue>) {
    this.file = file;
    this.values = values;
  }

  /** @throws GgufError when the value is of another kind */
  get<K extends keyof Kinds>(kind: K, key: string): Kinds[K] | undefined {
    const value = this.values.get(key);
    if (value === undefined) return undefined;
    if (!CHECKS[kind](value)) this.fail(key, `expected ${NAMES[kind]}, got ${describe(value)}`);
    return value as Kinds[K];
  }

  /** @throws GgufError when there is none, or the value is of another kind */
  need<K extends keyof Kinds>(kind: K, key: string): Kinds[K] {
    return this.get(kind, key) ?? this.fail(key, `expected ${NAMES[kind]}, and there is none`);
  }

  fail(key: string, problem: string, remedy = 'Convert the model again with a current llama.cpp.'): never {
    throw new GgufError(`${this.file}: metadata key "${key}": ${problem}. ${remedy}`);
  }
}

const describe = (value: GgufValue): string =>
  Array.isArray(value) ? `an array of ${value.length}` : `${typeof value} ${String(value).slice(0, 60)}`;
