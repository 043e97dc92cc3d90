import type { Budget } from './budget.ts';
import { characters, codePoints } from './slices.ts';

/**
 * A value of a template, as Python has it. Whole numbers are JavaScript numbers and lists are arrays; what JavaScript
 * does not tell apart, or orders or compares otherwise, has a class of its own.
 */
export type Value =
  | null
  | boolean
  | number
  | string
  | Value[]
  | Float
  | Tuple
  | Dict
  | Range
  | View
  | Generator
  | Undefined
  | Namespace
  | Loop
  | Callable;

/** Python's exceptions, as far as their message goes. */
export class TemplateFault extends Error {}

/** Python's float; `1.0` is not the whole number 1. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export class Tuple {
  readonly items: readonly Value[];
  /** Names of the items, where they have any. */
  readonly names: readonly string[];
  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

type Key = string | number | null;

/** Python's dict: keys of any hashable kind, where 1, 1.0 and True are the same key. */
export class Dict {
  readonly #entries = new Map<Key, [Value, Value]>();

  /** @param fields Values by name; keys of other kinds are `set`. */
  constructor(fields: Iterable<readonly [string, Value]> = []) {
    for (const [name, value] of fields) this.#entries.set(name, [name, value]);
  }

  get size(): number {
    return this.#entries.size;
  }
  get(key: Value, budget: Budget): Value | undefined {
    return this.#entries.get(hash(key, budget))?.[1];
  }
  has(key: Value, budget: Budget): boolean {
    return this.#entries.has(hash(key, budget));
  }
  set(key: Value, value: Value, budget: Budget): void {
    const hashed = hash(key, budget);
    const entry = this.#entries.get(hashed);
    budget.object(1);
    if (entry) entry[1] = value;
    else this.#entries.set(hashed, [key, value]);
  }
  keys(): Value[] {
    return Array.from(this.#entries.values(), ([key]) => key);
  }
  values(): Value[] {
    return Array.from(this.#entries.values(), ([, value]) => value);
  }
  items(): IterableIterator<[Value, Value]> {
    return this.#entries.values();
  }
}

const MAX_TUPLE_KEY = 1000;

function hash(key: Value, budget: Budget): Key {
  if (typeof key === 'string') budget.text(key.length);
  if (key === null || typeof key === 'string' || typeof key === 'number') return key;
  if (typeof key === 'boolean') return Number(key);
  if (key instanceof Float) return key.value;
  if (key instanceof Tuple) {
    const parts = flatten(key, [], budget);
    budget.text(parts.reduce((sum: number, part) => sum + 8 * (typeof part === 'string' ? part.length : 4), 0));
    return `\0${JSON.stringify(parts)}`;
  }
  throw new TemplateFault(`unhashable type: '${typeName(key)}'`);
}

/** The keys in a tuple and those in it. Tuples that hold one tuple several times can be short and flatten long. */
function flatten({ items }: Tuple, into: Key[], budget: Budget): Key[] {
  into.push(items.length);
  for (const item of items) {
    if (item instanceof Tuple) flatten(item, into, budget);
    else into.push(hash(item, budget));
    if (into.length > MAX_TUPLE_KEY) throw new TemplateFault('a tuple that is a key is too large');
  }
  return into;
}

/** What `range()` gives. */
export class Range {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  constructor(start: number, stop: number, step: number) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
  get length(): number {
    return Math.max(0, Math.ceil((this.stop - this.start) / this.step));
  }
  at(index: number): Value | undefined {
    const i = index < 0 ? index + this.length : index;
    return i >= 0 && i < this.length ? this.start + i * this.step : undefined;
  }
  items(): Value[] {
    return Array.from({ length: this.length }, (_, i) => this.start + i * this.step);
  }
}

/** What `dict.items()`, `.keys()` and `.values()` give: neither lists nor used up. */
export class View {
  readonly kind: 'dict_items' | 'dict_keys' | 'dict_values';
  readonly items: readonly Value[];
  constructor(kind: View['kind'], items: readonly Value[]) {
    this.kind = kind;
    this.items = items;
  }
}

/** What filters such as `map` and `select` give: true even when empty, without length, and used up by its first reader. */
export class Generator {
  #make: (() => readonly Value[]) | undefined;
  #items: readonly Value[] = [];
  #used = 0;
  /** @param make Runs when the first item is wanted, and not if none ever is. */
  constructor(make: () => readonly Value[]) {
    this.#make = make;
  }
  take(): readonly Value[] {
    this.#begin();
    const left = this.#used === 0 ? this.#items : this.#items.slice(this.#used);
    this.#items = [];
    return left;
  }
  next(): Value | undefined {
    this.#begin();
    return (this.#items as (Value | undefined)[])[this.#used++];
  }
  #begin(): void {
    if (this.#make) this.#items = this.#make();
    this.#make = undefined;
  }
}

/** A name or field that is not there: it prints as nothing, and fails where more is wanted of it. */
export class Undefined {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
  fail(): never {
    throw new TemplateFault(this.message);
  }
}

/** What `namespace()` gives: the one thing that a loop can change and leave changed. */
export class Namespace {
  readonly attributes: Map<string, Value>;
  constructor(attributes: Map<string, Value>) {
    this.attributes = attributes;
  }
}

/** `loop` in the body of a loop. */
export class Loop {
  index0 = 0;
  readonly items: readonly Value[];
  readonly depth0: number;
  /** Goes through further items with the same body, in a `recursive` loop. */
  readonly again: ((items: Value) => Value) | undefined;
  changed: readonly Value[] | undefined;
  constructor(items: readonly Value[], depth0: number, again: Loop['again']) {
    this.items = items;
    this.depth0 = depth0;
    this.again = again;
  }
}

/** Arguments of a call. */
export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

export class Callable {
  readonly name: string;
  readonly call: (args: Arguments) => Value;
  constructor(name: string, call: (args: Arguments) => Value) {
    this.name = name;
    this.call = call;
  }
}

export const NO_ARGUMENTS: Arguments = { positional: [], named: new Map() };

/**
 * Arguments in the order of the names of a function's parameters, as Python binds them.
 *
 * @param required How many of them must be given.
 */
export function bind(name: string, { positional, named }: Arguments, parameters: readonly string[], required = 0) {
  if (positional.length > parameters.length) {
    const most = parameters.length;
    throw new TemplateFault(`${name}() takes at most ${most} argument${most === 1 ? '' : 's'} (${positional.length} given)`); // prettier-ignore
  }
  const bound: (Value | undefined)[] = [...positional];
  for (const [key, value] of named) {
    const at = parameters.indexOf(key);
    if (at < 0) throw new TemplateFault(`${name}() got an unexpected keyword argument '${key}'`);
    if (bound[at] !== undefined) throw new TemplateFault(`${name}() got multiple values for argument '${key}'`);
    bound[at] = value;
  }
  const missing = parameters.findIndex((_, i) => i < required && bound[i] === undefined);
  if (missing >= 0) throw new TemplateFault(`${name}() missing required argument '${parameters[missing]}'`);
  return bound;
}

/** A value that was found, else another. `null` is a value here, so `??` would not do. */
export function orElse(found: Value | undefined, otherwise: () => Value): Value {
  return found === undefined ? otherwise() : found;
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Float) return 'float';
  if (value instanceof Callable) return 'function';
  if (value instanceof View) return value.kind;
  return value instanceof Undefined || value instanceof Namespace
    ? value.constructor.name
    : value.constructor.name.toLowerCase();
}

/** The number that a number or a bool stands for. */
export function numeric(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : undefined;
}

/** A whole number, as Python wants it for indices and widths. */
export function integer(value: Value | undefined, otherwise: number, what: string): number {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  throw new TemplateFault(`${what}: '${typeName(value)}' object cannot be interpreted as an integer`);
}

export function text(value: Value | undefined, what: string): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) value.fail();
  throw new TemplateFault(`${what}: expected a string, got ${value === undefined ? 'nothing' : typeName(value)}`);
}

export function truth(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === 'string' || Array.isArray(value)) return value.length > 0;
  if (typeof value !== 'object') return Boolean(value);
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Range) return value.length > 0;
  if (value instanceof Tuple || value instanceof View || value instanceof Loop) return value.items.length > 0;
  return true;
}

/** The items of a list, a tuple, or what else keeps them in order and is not used up. */
export function sequence(value: Value, budget: Budget): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (!(value instanceof Range)) return undefined;
  budget.items(value.length);
  return value.items();
}

/** What a loop over the value goes through. */
export function iterate(value: Value, budget: Budget): readonly Value[] {
  const items = itemsOf(value, budget);
  budget.items(items.length);
  return items;
}

function itemsOf(value: Value, budget: Budget): readonly Value[] {
  const items = sequence(value, budget);
  if (items) return items;
  if (typeof value === 'string') return characters(value, budget);
  if (value instanceof Dict) {
    budget.items(value.size);
    return value.keys();
  }
  if (value instanceof Generator) return value.take();
  if (value instanceof Undefined) return [];
  throw new TemplateFault(`'${typeName(value)}' object is not iterable`);
}

/** Python's `len`, of a text in code points. */
export function length(value: Value): number {
  if (typeof value === 'string') return codePoints(value);
  if (value instanceof Dict) return value.size;
  if (value instanceof Undefined) return 0;
  if (value instanceof Range || Array.isArray(value)) return value.length;
  if (value instanceof Tuple || value instanceof View || value instanceof Loop) return value.items.length;
  throw new TemplateFault(`object of type '${typeName(value)}' has no len()`);
}
