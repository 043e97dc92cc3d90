import { nearest } from './nearest.ts';
import { quote } from './quote.ts';
import { VitrineError } from './errors.ts';

/** An option or argument that a call cannot take. The message names the call and the option, what it takes and what came. */
export class OptionError extends VitrineError {
  override readonly name = 'OptionError';
}

/** What a value must be: in words, for the message, and as a test. */
export interface Check {
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
}

/** A check for every option of a call. */
export type Checks<Options> = Readonly<Record<keyof Options, Check>>;

/** Numbers that pass a test. */
export const numbers = (words: string, holds: (x: number) => boolean): Check => ({
  words,
  holds: (value) => typeof value === 'number' && holds(value),
});

/** Whole numbers from `least` to `most`; without `most`, up to the largest that JavaScript counts to. */
export const whole = (least: number, most = Number.MAX_SAFE_INTEGER): Check =>
  numbers(
    `a whole number from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}`,
    (x) => Number.isSafeInteger(x) && x >= least && x <= most,
  );

/** One of some strings. */
export const oneOf = (...values: readonly string[]): Check => ({
  words: `${values
    .slice(0, -1)
    .map((value) => `"${value}"`)
    .join(', ')} or "${values.at(-1)}"`,
  holds: (value) => values.includes(value as string),
});

/** An object of a class, which `words` name. */
export const instanceOf = (type: abstract new (...args: never) => unknown, words: string): Check => ({
  words,
  holds: (value) => value instanceof type,
});

/** A list, or a typed array, without holes, of which each item passes. */
export const listOf = (items: string, holds: (item: unknown) => boolean): Check => ({
  words: `a list of ${items}`,
  holds: (value) => {
    if (!Array.isArray(value) && !isNumericArray(value)) return false;
    for (const item of value as Iterable<unknown>) if (!holds(item)) return false; // `every` would skip holes.
    return true;
  },
});

export const TEXT: Check = { words: 'a string', holds: (value) => typeof value === 'string' };
export const PATH: Check = {
  words: 'a path: a string that is not empty and has no NUL character',
  holds: (value) => typeof value === 'string' && value !== '' && !value.includes('\0'),
};
export const NAME: Check = {
  words: 'a string that is not empty',
  holds: (value) => typeof value === 'string' && value !== '',
};
export const FLAG: Check = { words: 'true or false', holds: (value) => typeof value === 'boolean' };
export const CALLBACK: Check = { words: 'a function', holds: (value) => typeof value === 'function' };
export const ANYTHING: Check = { words: 'anything', holds: () => true };
export const TEXTS = listOf('strings', TEXT.holds);
export const OBJECT: Check = { words: 'an object', holds: isRecord };
/** By what it can do: a signal may come from another realm. */
export const SIGNAL: Check = {
  words: 'an AbortSignal',
  holds: (value) =>
    typeof value === 'object' &&
    value !== null &&
    'aborted' in value &&
    'throwIfAborted' in value &&
    'addEventListener' in value,
};

/** @throws OptionError unless the argument `name` of `call` passes. */
export function checkArgument(call: string, name: string, value: unknown, { words, holds }: Check): void {
  if (!holds(value)) throw new OptionError(`${call}: ${name} must be ${words}, got ${show(value)}.`);
}

/**
 * Checks an object of options; one that is undefined counts as absent.
 *
 * @throws OptionError for anything but an object, a value that its check refuses, and a name that is not among `checks`.
 */
export function checkOptions<Options>(call: string, options: Options, checks: Checks<Options>): void {
  checkArgument(call, 'the options', options, OBJECT);
  const given = options as Readonly<Record<string, unknown>>;
  const known: Readonly<Record<string, Check>> = checks;
  for (const name of Object.keys(given)) {
    if (given[name] === undefined || Object.hasOwn(known, name)) continue;
    const hint = nearest(name, Object.keys(known)).join(', ');
    throw new OptionError(`${call}: there is no option ${show(name)}. Nearest: ${hint}.`);
  }
  // By the names that are known: an object may inherit its values.
  for (const [name, check] of Object.entries(known)) {
    if (given[name] !== undefined) checkArgument(call, name, given[name], check);
  }
}

/** A plain object, or one of a class of the caller's own; no list, Map, Date and their kin. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** A typed array of numbers, which a BigInt64Array is not. */
export const isNumericArray = (value: unknown): value is Int32Array | Float32Array =>
  ArrayBuffer.isView(value) &&
  !(value instanceof DataView || value instanceof BigInt64Array || value instanceof BigUint64Array);

const SHOWN_CHARACTERS = 60;
const SHOWN_ITEMS = 4;

/** A value for a message, in at most a few hundred characters. */
export function show(value: unknown, depth = 0): string {
  if (typeof value === 'string')
    return value.length > SHOWN_CHARACTERS
      ? `${quote(value.slice(0, SHOWN_CHARACTERS))}... (${value.length} characters)`
      : quote(value);
  if (typeof value === 'bigint')
    return value < 2n ** 64n && value > -(2n ** 64n) ? `${value}n` : 'a bigint beyond 2^64';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (typeof value !== 'object' || value === null) return String(value);
  const kind = Object.prototype.toString.call(value).slice('[object '.length, -1);
  if (Array.isArray(value) || isNumericArray(value)) {
    if (depth > 1) return `a list of ${value.length}`;
    const items = Array.from({ length: Math.min(value.length, SHOWN_ITEMS) }, (_, i) => show(value[i], depth + 1));
    return `[${items.join(', ')}${value.length > SHOWN_ITEMS ? `, ... ${value.length} items` : ''}]`;
  }
  if (kind !== 'Object') return `a ${kind.slice(0, SHOWN_CHARACTERS)}`;
  const names = Object.keys(value);
  if (depth > 1 && names.length > 0) return 'an object';
  const fields = names.slice(0, SHOWN_ITEMS).map((name) => {
    const field: unknown = Object.getOwnPropertyDescriptor(value, name)?.value; // No getter runs.
    return `${name.slice(0, SHOWN_CHARACTERS)}: ${show(field, depth + 1)}`;
  });
  return `{${fields.join(', ')}${names.length > SHOWN_ITEMS ? `, ... ${names.length} fields` : ''}}`;
}
