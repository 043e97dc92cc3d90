import type { Budget } from './budget.ts';
import { indexOf } from './substring-search.ts';
import { toNumber } from './value-conversions.ts';
import { iterate } from './iteration.ts';
import { Dict, Range, Tuple, typeName, Undefined, type Value } from './python-values.ts';
import { TemplateFault } from './template-fault.ts';

/** The items of two lists, or of two tuples. */
function bothItems(a: Value, b: Value): [readonly Value[], readonly Value[]] | undefined {
  if (Array.isArray(a) && Array.isArray(b)) return [a, b];
  return a instanceof Tuple && b instanceof Tuple ? [a.items, b.items] : undefined;
}

/** Python's `==`. Spends a step per comparison: lists that hold one list several times can be short and take long. */
export function equal(a: Value, b: Value, budget: Budget): boolean {
  budget.spend(1);
  if (typeof a === 'string' && typeof b === 'string') {
    if (a.length !== b.length) return false;
    budget.spendText(a.length);
  }
  if (a === b) return true;
  const [x, y] = [toNumber(a), toNumber(b)];
  if (x !== undefined || y !== undefined) return x === y;
  if (a instanceof Undefined) return b instanceof Undefined;
  const items = bothItems(a, b);
  if (items) {
    const [left, right] = items;
    return left.length === right.length && left.every((item, i) => equal(item, right[i], budget));
  }
  if (!(a instanceof Dict && b instanceof Dict) || a.size !== b.size) return false;
  for (const [key, value] of a.items()) {
    const other = b.get(key, budget);
    if (other === undefined || !equal(value, other, budget)) return false;
  }
  return true;
}

/**
 * Python's order of values.
 *
 * @param operator The operator in the template, for the message.
 * @returns a negative number when `a` comes before `b`, zero when they are equal, else a positive one.
 * @throws {TemplateFault} when the types have no order.
 */
export function compare(a: Value, b: Value, operator: string, budget: Budget): number {
  budget.spend(1);
  const [x, y] = [toNumber(a), toNumber(b)];
  if (x !== undefined && y !== undefined) return x - y;
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b, budget);
  const items = bothItems(a, b);
  if (items) {
    const [left, right] = items;
    const differs = left.findIndex((item, i) => i >= right.length || !equal(item, right[i], budget));
    if (differs < 0 || differs >= right.length) return left.length - right.length;
    return compare(left[differs], right[differs], operator, budget);
  }
  for (const value of [a, b]) if (value instanceof Undefined) value.fail();
  throw new TemplateFault(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** Compares by code points. JavaScript compares UTF-16 units, which puts U+FF5C after an emoji. */
function compareText(a: string, b: string, budget: Budget): number {
  // JavaScript copies a concatenated text when its units are first read.
  budget.spendText(a.length);
  budget.spendText(b.length);
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  if (i >= a.length || i >= b.length) return a.length - b.length;
  if (i > 0 && /[\udc00-\udfff]/.test(a[i] + b[i])) i--;
  return a.codePointAt(i)! - b.codePointAt(i)!;
}

/** Python's `needle in haystack`. */
export function contains(haystack: Value, needle: Value, budget: Budget): boolean {
  if (typeof haystack === 'string') {
    if (typeof needle === 'string') return indexOf(haystack, needle, 0, budget) >= 0;
    if (needle instanceof Undefined) needle.fail();
    throw new TemplateFault(`'in <string>' requires string as left operand, not ${typeName(needle)}`);
  }
  if (haystack instanceof Dict) return haystack.has(needle, budget);
  if (haystack instanceof Range) return isInRange(haystack, toNumber(needle));
  return iterate(haystack, budget).some((item) => equal(item, needle, budget));
}

const isInRange = ({ start, step, length }: Range, number: number | undefined): boolean => {
  const at = ((number ?? NaN) - start) / step;
  return Number.isInteger(at) && at >= 0 && at < length;
};
