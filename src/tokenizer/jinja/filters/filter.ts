import type { Budget } from '../budget.ts';
import { bindArguments, NO_ARGUMENTS } from '../call-arguments.ts';
import { requireInteger, requireText, isTruthy } from '../conversions.ts';
import { getAttribute, getItem } from '../methods/attributes.ts';
import { split } from '../python-strings.ts';
import { type Arguments, Generator, typeName, Undefined, type Value } from '../python-values.ts';
import { str } from '../repr.ts';
import { TemplateFault } from '../template-fault.ts';

export type Filter = (value: Value, args: Arguments, budget: Budget) => Value;

export type Filters = Readonly<Record<string, Filter>>;

/** A filter of the text that a value prints as. */
export const textFilter =
  (name: string, of: (text: string, budget: Budget) => Value): Filter =>
  (value, args, budget) => {
    bindArguments(name, args, []);
    const result = of(str(value, budget), budget);
    if (typeof result === 'string') budget.spendText(result.length); // Upper case can be three times as long.
    return result;
  };

/** What an `attribute` argument gets of an item: `'a.b'` and `'list.0'` go further in. */
export function attributeGetter(path: Value | undefined, budget: Budget, otherwise?: Value): (item: Value) => Value {
  if (path === undefined || path === null) return (item) => item;
  const parts =
    typeof path === 'number'
      ? [path]
      : split(requireText(path, 'attribute'), '.', -1, false, budget).map((part) =>
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
export function foldCase(value: Value, caseSensitive: Value | undefined, budget: Budget): Value {
  if (typeof value !== 'string' || isTruthy(caseSensitive ?? false)) return value;
  budget.spendText(value.length);
  return value.toLowerCase();
}

/** A filter that does its work when the first of its items is wanted. */
export const lazyFilter =
  (items: (value: Value, args: Arguments, budget: Budget) => readonly Value[]): Filter =>
  (value, args, budget) => {
    budget.spendObject();
    return new Generator(() => items(value, args, budget));
  };

export function callMethod(value: Value, method: string, positional: Value[], budget: Budget): Value {
  const found = getAttribute(value, method, budget);
  if (typeof found !== 'object' || found === null || !('call' in found)) return failOperand(value, method);
  return found.call({ ...NO_ARGUMENTS, positional });
}

export const isMissing = (value: Value | undefined): boolean => value === undefined || value === null;

export function failOperand(value: Value, what: string): never {
  if (value instanceof Undefined) value.fail();
  throw new TemplateFault(`bad operand type for ${what}: '${typeName(value)}'`);
}

export function boundedWidth(value: Value, budget: Budget): number {
  const width = Math.max(0, requireInteger(value, 0, 'width'));
  budget.spendText(width);
  return width;
}
