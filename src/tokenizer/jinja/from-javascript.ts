import { Budget } from './budget.ts';
import { Dict, Float, type Value } from './python-values.ts';

/** A value that the caller passed to a template cannot be converted. */
export class DataError extends Error {}

/** Containers within each other. Ends the conversion of a value that contains itself. */
const MAX_DEPTH = 100;
const MAX_VALUES = 1_000_000;

/**
 * Converts a JavaScript value to a Python value. Fields that are undefined are left out. Values that are not data, such as
 * functions, become texts that name their type, as in transformers.
 *
 * @param name The name of the value, for messages.
 * @throws {DataError} when the value contains itself, is too large, or throws when it is read.
 */
export function fromJavaScript(value: unknown, name: string): Value {
  return new Conversion(name).value(value, 0);
}

class Conversion {
  readonly #name: string;
  readonly #budget = new Budget();
  #values = 0;

  constructor(name: string) {
    this.#name = name;
  }

  value(value: unknown, depth: number): Value {
    if (value === null || value === undefined) return null;
    if (typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'bigint') return this.#number(Number(value));
    if (typeof value === 'number') return this.#number(value);
    if (typeof value !== 'object') return `<${nameOf(value)}>`;
    if (depth === MAX_DEPTH) this.#fail(`holds more than ${MAX_DEPTH} objects within each other, or itself`);
    try {
      return this.#container(value, depth + 1);
    } catch (error) {
      if (error instanceof DataError) throw error;
      return this.#fail(`cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
    }
  }

  // Beyond 2^53, the original digits are lost, so the number cannot be an int.
  #number(value: number): Value {
    return Number.isSafeInteger(value) ? value + 0 : new Float(value);
  }

  #container(value: object, depth: number): Value {
    if (Array.isArray(value)) {
      this.#count(value.length);
      return Array.from(value, (item: unknown) => this.value(item, depth));
    }
    if (value instanceof Map) {
      this.#count(value.size);
      const dict = new Dict();
      for (const [key, item] of value) dict.set(this.value(key, depth), this.value(item, depth), this.#budget);
      return dict;
    }
    if (value instanceof Date || ArrayBuffer.isView(value)) return `<${nameOf(value)}>`;
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    this.#count(fields.length);
    return new Dict(fields.map(([name, field]) => [name, this.value(field, depth)]));
  }

  #count(values: number): void {
    this.#values += values;
    if (this.#values > MAX_VALUES) this.#fail(`holds more than ${MAX_VALUES} values`);
  }

  #fail(what: string, cause?: unknown): never {
    throw new DataError(`${this.#name} ${what}; a template takes data such as JSON has`, { cause });
  }
}

const nameOf = (value: unknown): string => (value instanceof Object ? value.constructor.name : typeof value);
