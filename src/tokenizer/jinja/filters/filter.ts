import type { Budget } from '../budget.ts';
import { bindArguments, NO_ARGUMENTS } from '../call-arguments.ts';
import { requireInteger, requireText, isTruthy } from '../value-conversions.ts';
import { getAttribute, getItem } from '../methods/attributes.ts';
import { split } from '../python-strings.ts';
import { type Arguments, Generator, typeName, Undefined, type Value } from '../python-values.ts';
import { str } from '../repr.ts';
import { TemplateFault } from '../template-fault.ts';

/** A filter of Jinja. */
export type Filter = (value: Value, args: Arguments, budget: Budget) => Value;

/** Filters by name. */
export type Filters = Readonly<Record<string, Filter>>;

/** A filter without arguments on the text that a value prints as. */
export const textFilter =
  (name: string, of: (text: string, budget: Budget) => Value): Filter =>
  (value, args, budget) => {
    bindArguments(name, args, []);
    const result = of(str(value, budget), budget);
    // The result may be longer: upper case by up to three times.
    if (typeof result === 'string') budget.spendText(result.length);
    return result;
  };

/**
 * A function that gets the attribute of an item that an `attribute` argument names.
 *
 * @param path A name, an index, or several of them with dots: `'a.b'`, `'list.0'`. Undefined or None: the item itself.
 * @param otherwise The result for attributes that are undefined. Default: undefined.
 */
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

/** Lowers the case of a string, unless `case_sensitive` is given. */
export function foldCase(value: Value, caseSensitive: Value | undefined, budget: Budget): Value {
  if (typeof value !== 'string' || isTruthy(caseSensitive ?? false)) return value;
  budget.spendText(value.length);
  return value.toLowerCase();
}

/** A filter whose result is a generator: it runs when the first item is read. */
export const lazyFilter =
  (items: (value: Value, args: Arguments, budget: Budget) => readonly Value[]): Filter =>
  (value, args, budget) => {
    budget.spendObject();
    return new Generator(() => items(value, args, budget));
  };

/** Calls a method of a value by name. @throws {TemplateFault} when the value has no such method. */
export function callMethod(value: Value, method: string, positional: Value[], budget: Budget): Value {
  const found = getAttribute(value, method, budget);
  if (typeof found !== 'object' || found === null || !('call' in found)) return failOperand(value, method);
  return found.call({ ...NO_ARGUMENTS, positional });
}

/** Whether an argument is None or not given. */
export const isMissing = (value: Value | undefined): boolean => value === undefined || value === null;

/** @throws {TemplateFault} that names the filter and the type of the value. */
export function failOperand(value: Value, what: string): never {
  if (value instanceof Undefined) value.fail();
  throw new TemplateFault(`bad operand type for ${what}: '${typeName(value)}'`);
}

/** The width that an argument gives, at least 0. Spends the cost of a text of that width. */
export function boundedWidth(value: Value, budget: Budget): number {
  const width = Math.max(0, requireInteger(value, 0, 'width'));
  budget.spendText(width);
  return width;
}
