import type { Budget } from './budget.ts';
import { Dict, Generator, Loop, Range, Tuple, typeName, Undefined, type Value, View } from './python-values.ts';
import { characters, codePoints } from './slices.ts';
import { TemplateFault } from './template-fault.ts';

/** The items of a list, tuple, range or view; undefined for other values. */
export function orderedItems(value: Value, budget: Budget): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (!(value instanceof Range)) return undefined;
  budget.spendItems(value.length);
  return value.items();
}

/** The items that a loop over a value visits. Uses up a generator. @throws {TemplateFault} when it is not iterable. */
export function iterate(value: Value, budget: Budget): readonly Value[] {
  const items = itemsOf(value, budget);
  budget.spendItems(items.length);
  return items;
}

function itemsOf(value: Value, budget: Budget): readonly Value[] {
  const items = orderedItems(value, budget);
  if (items) return items;
  if (typeof value === 'string') return characters(value, budget);
  if (value instanceof Dict) {
    budget.spendItems(value.size);
    return value.keys();
  }
  if (value instanceof Generator) return value.take();
  if (value instanceof Undefined) return [];
  throw new TemplateFault(`'${typeName(value)}' object is not iterable`);
}

/** Python's `len`; for a text, its code points. @throws {TemplateFault} when the value has no length. */
export function lengthOf(value: Value): number {
  if (typeof value === 'string') return codePoints(value);
  if (value instanceof Dict) return value.size;
  if (value instanceof Undefined) return 0;
  if (value instanceof Range || Array.isArray(value)) return value.length;
  if (value instanceof Tuple || value instanceof View || value instanceof Loop) return value.items.length;
  throw new TemplateFault(`object of type '${typeName(value)}' has no len()`);
}
