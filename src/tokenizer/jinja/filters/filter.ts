import type { Budget } from '../budget.ts';
import { bind, NO_ARGUMENTS } from '../call-arguments.ts';
import { integer, text, truth } from '../conversions.ts';
import { getAttribute, getItem } from '../methods/attributes.ts';
import { split } from '../python-strings.ts';
import { type Arguments, Generator, typeName, Undefined, type Value } from '../python-values.ts';
import { str } from '../repr.ts';
import { TemplateFault } from '../template-fault.ts';

export type Filter = (value: Value, args: Arguments, budget: Budget) => Value;

export type Filters = Readonly<Record<string, Filter>>;

/** A filter of the text that a value prints as. */
export const ofText =
  (name: string, of: (text: string, budget: Budget) => Value): Filter =>
  (value, args, budget) => {
    bind(name, args, []);
    const result = of(str(value, budget), budget);
    if (typeof result === 'string') budget.text(result.length); // Upper case can be three times as long.
    return result;
  };

/** What an `attribute` argument gets of an item: `'a.b'` and `'list.0'` go further in. */
export function getter(path: Value | undefined, budget: Budget, otherwise?: Value): (item: Value) => Value {
  if (path === undefined || path === null) return (item) => item;
  const parts =
    typeof path === 'number'
      ? [path]
      : split(text(path, 'attribute'), '.', -1, false, budget).map((part) =>
          /^\d+$/.test(part) ? Number(part) : part,
        );
  return (item) => {
    let value = item;
    for (const part of parts) {
      value = getItem(value, part, budget);
      if (value instanceof Undefined && otherwise !== undefined) value = otherwise;
    }
    return value;
  };
}

/** Strings compare without case unless asked. */
export function folded(value: Value, caseSensitive: Value | undefined, budget: Budget): Value {
  if (typeof value !== 'string' || truth(caseSensitive ?? false)) return value;
  budget.text(value.length);
  return value.toLowerCase();
}

/** A filter that does its work when the first of its items is wanted. */
export const lazy =
  (items: (value: Value, args: Arguments, budget: Budget) => readonly Value[]): Filter =>
  (value, args, budget) => {
    budget.object();
    return new Generator(() => items(value, args, budget));
  };

export function call(value: Value, method: string, positional: Value[], budget: Budget): Value {
  const found = getAttribute(value, method, budget);
  if (typeof found !== 'object' || found === null || !('call' in found)) return bad(value, method);
  return found.call({ ...NO_ARGUMENTS, positional });
}

export const isNothing = (value: Value | undefined): boolean => value === undefined || value === null;

export function bad(value: Value, what: string): never {
  if (value instanceof Undefined) value.fail();
  throw new TemplateFault(`bad operand type for ${what}: '${typeName(value)}'`);
}

export function boundedWidth(value: Value, budget: Budget): number {
  const width = Math.max(0, integer(value, 0, 'width'));
  budget.text(width);
  return width;
}
