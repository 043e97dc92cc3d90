import { isObject, type Json } from '../json.ts';
import { quote } from '../quote.ts';
import { VitrineError } from '../errors.ts';

/** A tokenizer's files are malformed, or ask for something that this tokenizer does not know. */
export class TokenizerError extends VitrineError {
  override readonly name = 'TokenizerError';
}

/** Ids are below this, far above published vocabularies (Gemma: 262,144). */
export const MAX_ID = 2 ** 22;

export function isTokenId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MAX_ID;
}

/** A value of a file, fit for a message. */
export function showValue(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (isObject(value)) return 'an object';
  return typeof value === 'string' ? quote(value.slice(0, 80)) : String(value);
}

/** An object of tokenizer.json, read field by field; every error names the field's path in the file. */
export class Fields {
  /** Such as `tokenizer.json: pre_tokenizer.pretokenizers[1]`. */
  readonly path: string;
  readonly #json: Json;

  constructor(path: string, value: unknown) {
    if (!isObject(value)) throw new TokenizerError(`${path}: expected an object, got ${showValue(value)}`);
    this.path = path;
    this.#json = value;
  }

  /** Whether the field is there, and not null. */
  has(name: string): boolean {
    return this.value(name) !== undefined;
  }

  value(name: string): unknown {
    return Object.hasOwn(this.#json, name) ? (this.#json[name] ?? undefined) : undefined;
  }

  string(name: string, fallback?: string): string {
    return this.#typed(name, 'a string', fallback, (value) => typeof value === 'string');
  }

  boolean(name: string, fallback?: boolean): boolean {
    return this.#typed(name, 'true or false', fallback, (value) => typeof value === 'boolean');
  }

  integer(name: string, least: number, most: number, fallback?: number): number {
    return this.#typed(
      name,
      `an integer from ${least} to ${most}`,
      fallback,
      (value) => typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most,
    );
  }

  /** A single character: one code point. */
  character(name: string, fallback?: string): string {
    const isCharacter = (value: unknown) => typeof value === 'string' && Array.from(value).length === 1;
    return this.#typed(name, 'one character', fallback, isCharacter);
  }

  choice<T extends string>(name: string, choices: readonly T[], fallback?: T): T {
    return this.#typed(name, `one of ${choices.join(', ')}`, fallback, (value) => choices.includes(value as T));
  }

  /** Without holes, which a file cannot have and an object in memory can: they are undefined. */
  list(name: string): readonly unknown[] {
    const value = this.value(name);
    return Array.isArray(value) ? Array.from<unknown>(value) : this.fail(name, 'a list');
  }

  object(name: string): Fields {
    return new Fields(`${this.path}.${name}`, this.value(name));
  }

  /** @returns never; it throws. */
  fail(name: string, expected: string): never {
    throw new TokenizerError(`${this.path}: expected ${name} to be ${expected}, got ${showValue(this.value(name))}`);
  }

  #typed<T>(name: string, expected: string, fallback: T | undefined, isRight: (value: unknown) => boolean): T {
    const value = this.value(name) ?? fallback;
    return value !== undefined && isRight(value) ? (value as T) : this.fail(name, expected);
  }
}
