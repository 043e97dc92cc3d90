import { isObject, type Json } from '../json.ts';
import { quote } from '../quote.ts';
import { VitrineError } from '../errors.ts';

/** A file of a tokenizer is malformed, has a step that is not supported, or exceeds a limit. */
export class TokenizerError extends VitrineError {
  override readonly name = 'TokenizerError';
}

/** Token ids are below this, which is far above published vocabularies (Gemma: 262,144). */
export const MAX_ID = 2 ** 22;

/** Whether a value is a token id: an integer from 0 to below `MAX_ID`. */
export function isTokenId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MAX_ID;
}

/** A value of a file for an error message, in one short line. */
export function showValue(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isObject(value)) return 'an object';
  return typeof value === 'string' ? quote(value.slice(0, 80)) : String(value);
}

/**
 * An object of tokenizer.json, read field by field.
 *
 * A field that is null counts as absent. Methods that read a field return the fallback when it is absent, and throw a
 * TokenizerError with its path when it has another type or is absent without a fallback.
 */
export class Fields {
  /** The file and the place in it: `tokenizer.json: pre_tokenizer.pretokenizers[1]`. */
  readonly path: string;
  readonly #json: Json;

  constructor(path: string, value: unknown) {
    if (!isObject(value)) throw new TokenizerError(`${path}: expected an object, got ${showValue(value)}`);
    this.path = path;
    this.#json = value;
  }

  /** Whether the field is present and not null. */
  has(name: string): boolean {
    return this.value(name) !== undefined;
  }

  /** A field of any type; undefined when it is absent. */
  value(name: string): unknown {
    return Object.hasOwn(this.#json, name) ? (this.#json[name] ?? undefined) : undefined;
  }

  string(name: string, fallback?: string): string {
    return this.#typed(name, 'a string', fallback, (value) => typeof value === 'string');
  }

  boolean(name: string, fallback?: boolean): boolean {
    return this.#typed(name, 'true or false', fallback, (value) => typeof value === 'boolean');
  }

  /** An integer from `least` to `most`, both included. */
  integer(name: string, least: number, most: number, fallback?: number): number {
    return this.#typed(
      name,
      `an integer from ${least} to ${most}`,
      fallback,
      (value) => typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most,
    );
  }

  /** A string of one code point. */
  character(name: string, fallback?: string): string {
    const isCharacter = (value: unknown) => typeof value === 'string' && Array.from(value).length === 1;
    return this.#typed(name, 'one character', fallback, isCharacter);
  }

  /** One of some strings. */
  choice<T extends string>(name: string, choices: readonly T[], fallback?: T): T {
    return this.#typed(name, `one of ${choices.join(', ')}`, fallback, (value) => choices.includes(value as T));
  }

  /** A list. Holes, which an array in memory can have, become undefined. */
  list(name: string): readonly unknown[] {
    const value = this.value(name);
    return Array.isArray(value) ? Array.from<unknown>(value) : this.fail(name, 'a list');
  }

  object(name: string): Fields {
    return new Fields(`${this.path}.${name}`, this.value(name));
  }

  /** @throws {TokenizerError} that names the field, what it should be and what it is. */
  fail(name: string, expected: string): never {
    throw new TokenizerError(`${this.path}: expected ${name} to be ${expected}, got ${showValue(this.value(name))}`);
  }

  #typed<T>(name: string, expected: string, fallback: T | undefined, isRight: (value: unknown) => boolean): T {
    const value = this.value(name) ?? fallback;
    return value !== undefined && isRight(value) ? (value as T) : this.fail(name, expected);
  }
}
