import type { Budget } from './budget.ts';
import { TemplateFault } from './template-fault.ts';

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
    budget.spendObject(1);
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
  if (typeof key === 'string') budget.spendText(key.length);
  if (key === null || typeof key === 'string' || typeof key === 'number') return key;
  if (typeof key === 'boolean') return Number(key);
  if (key instanceof Float) return key.value;
  if (key instanceof Tuple) {
    const parts = flatten(key, [], budget);
    budget.spendText(parts.reduce((sum: number, part) => sum + 8 * (typeof part === 'string' ? part.length : 4), 0));
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
  readonly recurse: ((items: Value) => Value) | undefined;
  changed: readonly Value[] | undefined;
  constructor(items: readonly Value[], depth0: number, again: Loop['recurse']) {
    this.items = items;
    this.depth0 = depth0;
    this.recurse = again;
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
