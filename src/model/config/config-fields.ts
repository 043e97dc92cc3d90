import { show } from '../../options.ts';
import { ConfigError } from './config-error.ts';
import type { Json } from '../../json.ts';

/** A requirement on a number: words for the message, and the test. */
export interface Range {
  readonly words: string;
  readonly holds: (x: number) => boolean;
}
/** Numbers above a bound, which the message calls `name`. */
export const above = (bound: number, name = ''): Range => ({
  words: `a finite number above ${name && `${name}, `}${bound}`,
  holds: (x) => x > bound,
});
/** Numbers from 1 to a bound. */
export const upTo = (bound: number): Range => ({
  words: `a number from 1 to ${bound}`,
  holds: (x) => x >= 1 && x <= bound,
});
/** Numbers from 1. */
export const atLeastOne: Range = { words: 'a number from 1', holds: (x) => x >= 1 };
/** Numbers from 0. */
export const atLeastZero: Range = { words: 'a finite number, 0 or above', holds: (x) => x >= 0 };
/** Numbers above 0 and up to 1: fractions. */
export const upToOne: Range = { words: 'a number above 0 and up to 1', holds: (x) => x > 0 && x <= 1 };

/** A reader of the fields of one object. */
export type Fields = ReturnType<typeof fields>;

/** Reads the fields of one object of config.json; null counts as absent, as Python writes None. */
export function fields(object: Json, where?: string) {
  const path = (key: string) => (where === undefined ? key : `${where}.${key}`);
  const number = (key: string, range: Range): number | undefined => {
    const value = object[key] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isFinite(value) || !range.holds(value)) {
      throw invalid(path(key), range.words, value);
    }
    return value;
  };
  return {
    number,
    required: (key: string, range: Range): number => {
      const value = number(key, range);
      if (value === undefined) throw invalid(path(key), range.words, value);
      return value;
    },
    /** A whole number that must be there. */
    size: (key: string, range: Range): number => {
      const value = number(key, range);
      if (value === undefined) throw invalid(path(key), range.words, value);
      if (!Number.isInteger(value)) throw invalid(path(key), 'a whole number', value);
      return value;
    },
    integer: (key: string, range: Range): number | undefined => {
      const value = number(key, range);
      if (value !== undefined && !Number.isInteger(value)) throw invalid(path(key), 'a whole number', value);
      return value;
    },
    /** A list of `length` numbers. */
    numbers: (key: string, length: number, range: Range): number[] => {
      const value: unknown = object[key] ?? undefined;
      const fits = (x: unknown): boolean => typeof x === 'number' && Number.isFinite(x) && range.holds(x);
      if (Array.isArray(value) && value.length === length && value.every(fits)) return value as number[];
      throw invalid(path(key), `a list of ${length}, each ${range.words}`, value);
    },
    boolean: (key: string): boolean | undefined => {
      const value = object[key] ?? undefined;
      if (value === undefined || typeof value === 'boolean') return value;
      throw invalid(path(key), 'true or false', value);
    },
  };
}

/** The error for a field that is not what it must be. */
export function invalid(field: string, expected: string, got: unknown): ConfigError {
  return new ConfigError(`config.json: ${field} must be ${expected}, got ${got === undefined ? 'nothing' : show(got)}`);
}

/** @throws {ConfigError} where a field that changes the computation has another value than these; it may be absent. */
export function expectOnly(raw: Json, key: string, known: readonly (string | number | boolean)[]): void {
  const value: unknown = raw[key] ?? undefined;
  if (value !== undefined && !known.includes(value as string))
    throw new ConfigError(`config.json: ${key} ${show(value)} is not supported here (supported: ${known.join(', ')}).`);
}
