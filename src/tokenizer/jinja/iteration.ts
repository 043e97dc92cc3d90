import type { Budget } from './budget.ts';
import { Dict, Generator, Loop, Range, Tuple, typeName, Undefined, type Value, View } from './python-values.ts';
import { characters, codePoints } from './slices.ts';
import { TemplateFault } from './template-fault.ts';

/** The items of a list, a tuple, or what else keeps them in order and is not used up. */
export function orderedItems(value: Value, budget: Budget): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  if (value instanceof Tuple || value instanceof View) return value.items;
  if (!(value instanceof Range)) return undefined;
  budget.spendItems(value.length);
  return value.items();
}

/** What a loop over the value goes through. */
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

/** Python's `len`, of a text in code points. */
export function lengthOf(value: Value): number {
  if (typeof value === 'string') return codePoints(value);
  if (value instanceof Dict) return value.size;
  if (value instanceof Undefined) return 0;
  if (value instanceof Range || Array.isArray(value)) return value.length;
  if (value instanceof Tuple || value instanceof View || value instanceof Loop) return value.items.length;
  throw new TemplateFault(`object of type '${typeName(value)}' has no len()`);
}
