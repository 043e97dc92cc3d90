import { arithmetic } from '../arithmetic.ts';
import type { Budget } from '../budget.ts';
import { bindArguments } from '../call-arguments.ts';
import { compare, equal } from '../value-comparison.ts';
import { requireInteger, orElse, isTruthy } from '../value-conversions.ts';
import { failOperand, callMethod, type Filter, type Filters, foldCase, attributeGetter, lazyFilter } from './filter.ts';
import { iterate, lengthOf, orderedItems } from '../iteration.ts';
import { joinTexts, split } from '../python-strings.ts';
import { Dict, Generator, Tuple, Undefined, type Value } from '../python-values.ts';
import { str } from '../repr.ts';
import { TemplateFault } from '../template-fault.ts';

/** Sorts by a key. Equal items keep their order, in reverse too. */
function sorted<T>(items: readonly T[], key: (item: T) => Value, reverse: boolean, budget: Budget): T[] {
  budget.spend(4 * items.length);
  const keyed = items.map((item) => ({ item, key: key(item) }));
  const sign = reverse ? -1 : 1;
  return keyed.sort((a, b) => sign * compare(a.key, b.key, '<', budget)).map(({ item }) => item);
}

const extremum =
  (name: string, sign: number): Filter =>
  (value, args, budget) => {
    const [caseSensitive, path] = bindArguments(name, args, ['case_sensitive', 'attribute']);
    const get = attributeGetter(path, budget);
    const items = iterate(value, budget);
    if (items.length === 0) return new Undefined('No aggregated item, sequence was empty.');
    const key = (item: Value): Value => foldCase(get(item), caseSensitive, budget);
    return items.reduce((best, item) => (sign * compare(key(item), key(best), '<', budget) < 0 ? item : best));
  };

/** The items of a value of which only one is read: those of a list or tuple cost nothing. */
const itemsInOrder = (value: Value, budget: Budget): readonly Value[] =>
  Array.isArray(value) || value instanceof Tuple ? orderedItems(value, budget)! : iterate(value, budget);

/** The filters for lists and other iterables. */
export const SEQUENCE_FILTERS: Filters = {
  batch: lazyFilter((value, args, budget) => {
    const [size, fill] = bindArguments('batch', args, ['linecount', 'fill_with'], 1);
    const count = requireInteger(size, 1, 'batch');
    const rows: Value[][] = [];
    for (const item of iterate(value, budget)) {
      if (rows.length === 0 || rows.at(-1)!.length === count) {
        budget.spendObject();
        rows.push([]);
      }
      rows.at(-1)!.push(item);
    }
    if (fill !== undefined && fill !== null && rows.length > 0) {
      const missing = count - rows.at(-1)!.length;
      budget.spendItems(Math.max(0, missing));
      for (let i = 0; i < missing; i++) rows.at(-1)!.push(fill);
    }
    return rows;
  }),
  dictsort(value, args, budget) {
    const [caseSensitive, by = 'key', reverse = false] = bindArguments('dictsort', args, [
      'case_sensitive',
      'by',
      'reverse',
    ]);
    if (by !== 'key' && by !== 'value') throw new TemplateFault('You can only sort by either "key" or "value"');
    if (!(value instanceof Dict)) return failOperand(value, 'dictsort');
    const key = (entry: [Value, Value]): Value => foldCase(entry[by === 'key' ? 0 : 1], caseSensitive, budget);
    budget.spendObject(value.size);
    return sorted(Array.from(value.items()), key, isTruthy(reverse), budget).map((entry) => new Tuple(entry));
  },
  first(value, _, budget) {
    const first = value instanceof Generator ? value.next() : itemsInOrder(value, budget).at(0);
    return orElse(first, () => new Undefined('No first item, sequence was empty.'));
  },
  groupby(value, args, budget) {
    const [path, otherwise, caseSensitive] = bindArguments(
      'groupby',
      args,
      ['attribute', 'default', 'case_sensitive'],
      1,
    );
    const get = attributeGetter(path, budget, otherwise);
    const key = (item: Value): Value => foldCase(get(item), caseSensitive, budget);
    const groups: { key: Value; grouper: Value; items: Value[] }[] = [];
    for (const item of sorted(iterate(value, budget), key, false, budget)) {
      const last = groups.at(-1);
      if (last && equal(last.key, key(item), budget)) last.items.push(item);
      else {
        budget.spendObject(2);
        groups.push({ key: key(item), grouper: get(item), items: [item] });
      }
    }
    return groups.map(({ grouper, items }) => new Tuple([grouper, items], ['grouper', 'list']));
  },
  items: lazyFilter((value, _, budget) => {
    if (value instanceof Undefined) return [];
    if (!(value instanceof Dict)) throw new TemplateFault('Can only get item pairs from a mapping.');
    return iterate(callMethod(value, 'items', [], budget), budget);
  }),
  join(value, args, budget) {
    const [separator = '', path] = bindArguments('join', args, ['d', 'attribute']);
    const items = iterate(value, budget).map(attributeGetter(path, budget));
    const texts = items.map((item) => str(item, budget));
    return joinTexts(texts, str(separator, budget), budget);
  },
  last(value, _, budget) {
    if (value instanceof Generator) throw new TemplateFault("'generator' object is not reversible");
    return orElse(itemsInOrder(value, budget).at(-1), () => new Undefined('No last item, sequence was empty.'));
  },
  length: (value) => lengthOf(value),
  list: (value, _, budget) => [...iterate(value, budget)],
  max: extremum('max', -1),
  min: extremum('min', 1),
  reverse(value, _, budget) {
    const items = [...iterate(value, budget)].reverse();
    return typeof value === 'string' ? joinTexts(items as string[], '', budget) : new Generator(() => items);
  },
  slice: lazyFilter((value, args, budget) => {
    const [slices, fill] = bindArguments('slice', args, ['slices', 'fill_with'], 1);
    const items = iterate(value, budget);
    const count = requireInteger(slices, 1, 'slice');
    if (count < 1) throw new TemplateFault('division by zero');
    budget.spendObject(count);
    const [each, extra] = [Math.floor(items.length / count), items.length % count];
    return Array.from({ length: count }, (_, i) => {
      const start = i * each + Math.min(i, extra);
      const column = items.slice(start, start + each + Number(i < extra));
      return fill !== undefined && fill !== null && i >= extra && extra > 0 ? [...column, fill] : column;
    });
  }),
  sort(value, args, budget) {
    const [reverse = false, caseSensitive, paths] = bindArguments('sort', args, [
      'reverse',
      'case_sensitive',
      'attribute',
    ]);
    const getters = (typeof paths === 'string' ? split(paths, ',', -1, false, budget) : [paths]).map((path) =>
      attributeGetter(path, budget),
    );
    const key = (item: Value): Value => {
      budget.spendItems(getters.length);
      const keys = getters.map((get) => foldCase(get(item), caseSensitive, budget));
      return keys.length === 1 ? keys[0] : keys;
    };
    return sorted(iterate(value, budget), key, isTruthy(reverse), budget);
  },
  sum(value, args, budget) {
    const [path, start = 0] = bindArguments('sum', args, ['attribute', 'start']);
    return iterate(value, budget)
      .map(attributeGetter(path, budget))
      .reduce((total, item) => arithmetic('+', total, item, budget), start);
  },
  unique: lazyFilter((value, args, budget) => {
    const [caseSensitive, path] = bindArguments('unique', args, ['case_sensitive', 'attribute']);
    const get = attributeGetter(path, budget);
    const seen = new Dict();
    return iterate(value, budget).filter((item) => {
      const key = foldCase(get(item), caseSensitive, budget);
      const isNew = !seen.has(key, budget);
      if (isNew) seen.set(key, true, budget);
      return isNew;
    });
  }),
};
