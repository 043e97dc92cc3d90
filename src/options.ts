import { nearest } from './nearest.ts';
import { quote } from './quote.ts';
import { VitrineError } from './errors.ts';

/** A call was given an option or argument that it does not take. The message names both, what is expected and what came. */
export class OptionError extends VitrineError {
  override readonly name = 'OptionError';
}

/** A condition on a value: in words, for the message, and as a test. */
export interface Check {
  /** Completes `must be ...`. */
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
}

/** A check for every option of a call. */
export type Checks<Options> = Readonly<Record<keyof Options, Check>>;

/** Checks for a number that passes a test. */
export const numbers = (words: string, holds: (x: number) => boolean): Check => ({
  words,
  holds: (value) => typeof value === 'number' && holds(value),
});

/** Checks for a whole number from `least` to `most`. Default of `most`: 2^53 - 1. */
export const whole = (least: number, most = Number.MAX_SAFE_INTEGER): Check =>
  numbers(
    `a whole number from ${least}${most === Number.MAX_SAFE_INTEGER ? '' : ` to ${most}`}`,
    (x) => Number.isSafeInteger(x) && x >= least && x <= most,
  );

/** Checks for one of several strings. */
export const oneOf = (...values: readonly string[]): Check => ({
  words: `${values
    .slice(0, -1)
    .map((value) => `"${value}"`)
    .join(', ')} or "${values.at(-1)}"`,
  holds: (value) => values.includes(value as string),
});

/** Checks for an instance of a class, which `words` name. */
export const instanceOf = (type: abstract new (...args: never) => unknown, words: string): Check => ({
  words,
  holds: (value) => value instanceof type,
});

/** Checks for an array without holes, or a typed array of numbers, whose items all pass; `items` says what they are. */
export const listOf = (items: string, holds: (item: unknown) => boolean): Check => ({
  words: `a list of ${items}`,
  holds: (value) => {
    if (!Array.isArray(value) && !isNumericArray(value)) return false;
    for (const item of value as Iterable<unknown>) if (!holds(item)) return false; // `every` would skip holes.
    return true;
  },
});

/** Any string. */
export const TEXT: Check = { words: 'a string', holds: (value) => typeof value === 'string' };
/** A path in the file system. */
export const PATH: Check = {
  words: 'a path: a string that is not empty and has no NUL character',
  holds: (value) => typeof value === 'string' && value !== '' && !value.includes('\0'),
};
/** A string that is not empty. */
export const NAME: Check = {
  words: 'a string that is not empty',
  holds: (value) => typeof value === 'string' && value !== '',
};
/** A boolean. */
export const FLAG: Check = { words: 'true or false', holds: (value) => typeof value === 'boolean' };
/** Any function. */
export const CALLBACK: Check = { words: 'a function', holds: (value) => typeof value === 'function' };
/** Any value: for options that are checked elsewhere. */
export const ANYTHING: Check = { words: 'anything', holds: () => true };
/** An array of strings. */
export const TEXTS = listOf('strings', TEXT.holds);
/** A plain object or an instance of a class, not an array or one of JavaScript's own types. */
export const OBJECT: Check = { words: 'an object', holds: isRecord };
/** An AbortSignal, by its members: it may come from another realm, where `instanceof` fails. */
export const SIGNAL: Check = {
  words: 'an AbortSignal',
  holds: (value) =>
    typeof value === 'object' &&
    value !== null &&
    'aborted' in value &&
    'throwIfAborted' in value &&
    'addEventListener' in value,
};

/**
 * Checks the argument `name` of the public call `call`.
 *
 * @throws {OptionError} when the value does not pass.
 */
export function checkArgument(call: string, name: string, value: unknown, { words, holds }: Check): void {
  if (!holds(value)) throw new OptionError(`${call}: ${name} must be ${words}, got ${show(value)}.`);
}

/**
 * Checks the options of the public call `call`. An option that is undefined counts as absent.
 *
 * @throws {OptionError} when `options` is not an object, when a value does not pass its check, and for a name that is not in
 *   `checks`, with the most similar ones.
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
  // Known names are read from the object, which may inherit their values.
  for (const [name, check] of Object.entries(known)) {
    if (given[name] !== undefined) checkArgument(call, name, given[name], check);
  }
}

/** Whether a value is a plain object or an instance of the caller's own class: not an array, Map, Date or the like. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return Object.prototype.toString.call(value) === '[object Object]';
}

/** Whether a value is a typed array of numbers; a BigInt64Array is not. */
export const isNumericArray = (value: unknown): value is Int32Array | Float32Array =>
  ArrayBuffer.isView(value) &&
  !(value instanceof DataView || value instanceof BigInt64Array || value instanceof BigUint64Array);

const SHOWN_CHARACTERS = 60;
const SHOWN_ITEMS = 4;

/** A value as text for a message, in at most a few hundred characters. Runs no code of the value. */
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
