import type { Budget } from './budget.ts';
import { TemplateFault } from './template-fault.ts';

/**
 * A Python value. None is null, an int is a number, a str a string, and a list an array. Types that JavaScript lacks, or
 * whose values it compares differently, have a class.
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

/** Python's float, which differs from the int of the same value: `1.0` and `1`. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** Python's tuple. */
export class Tuple {
  readonly items: readonly Value[];
  /** Names of the items in a named tuple; empty otherwise. */
  readonly names: readonly string[];
  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

type Key = string | number | null;

/** Python's dict. Keys are hashable values; 1, 1.0 and True are the same key. */
export class Dict {
  readonly #entries = new Map<Key, [Value, Value]>();

  /** @param fields Entries with string keys; `set` adds others. */
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

/** Keys within a tuple that is a key. */
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

/** The keys within a tuple and the tuples in it. Bounded, as tuples that hold one tuple several times can be short and become long. */
function flatten({ items }: Tuple, into: Key[], budget: Budget): Key[] {
  into.push(items.length);
  for (const item of items) {
    if (item instanceof Tuple) flatten(item, into, budget);
    else into.push(hash(item, budget));
    if (into.length > MAX_TUPLE_KEY) throw new TemplateFault('a tuple that is a key is too large');
  }
  return into;
}

/** Python's range. */
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

/** The result of `dict.items()`, `keys()` or `values()`. */
export class View {
  readonly kind: 'dict_items' | 'dict_keys' | 'dict_values';
  readonly items: readonly Value[];
  constructor(kind: View['kind'], items: readonly Value[]) {
    this.kind = kind;
    this.items = items;
  }
}

/** The result of a lazy filter such as `map`: true even when empty, without a length, and used up by the first reader. */
export class Generator {
  #make: (() => readonly Value[]) | undefined;
  #items: readonly Value[] = [];
  #used = 0;
  /** @param make Makes the items. It runs when the first one is read, or never. */
  constructor(make: () => readonly Value[]) {
    this.#make = make;
  }
  /** The remaining items, which are then used up. */
  take(): readonly Value[] {
    this.#begin();
    const left = this.#used === 0 ? this.#items : this.#items.slice(this.#used);
    this.#items = [];
    return left;
  }
  /** The next item; undefined at the end. */
  next(): Value | undefined {
    this.#begin();
    return (this.#items as (Value | undefined)[])[this.#used++];
  }
  #begin(): void {
    if (this.#make) this.#items = this.#make();
    this.#make = undefined;
  }
}

/** Jinja's `Undefined`, the value of a missing name or field: it prints as nothing, and most other uses are an error. */
export class Undefined {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
  /** @throws {TemplateFault} that says what is missing. */
  fail(): never {
    throw new TemplateFault(this.message);
  }
}

/** Jinja's `namespace()`, whose attributes can be set from within a loop. */
export class Namespace {
  readonly attributes: Map<string, Value>;
  constructor(attributes: Map<string, Value>) {
    this.attributes = attributes;
  }
}

/** Jinja's variable `loop` in the body of a loop. */
export class Loop {
  index0 = 0;
  readonly items: readonly Value[];
  readonly depth0: number;
  /** Runs the loop over other items; undefined when it is not `recursive`. */
  readonly recurse: ((items: Value) => Value) | undefined;
  changed: readonly Value[] | undefined;
  constructor(items: readonly Value[], depth0: number, again: Loop['recurse']) {
    this.items = items;
    this.depth0 = depth0;
    this.recurse = again;
  }
}

/** The arguments of a call. */
export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function. */
export class Callable {
  readonly name: string;
  readonly call: (args: Arguments) => Value;
  constructor(name: string, call: (args: Arguments) => Value) {
    this.name = name;
    this.call = call;
  }
}

/** The name of a value's type in Python. */
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
