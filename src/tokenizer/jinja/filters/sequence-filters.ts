import { arithmetic } from '../arithmetic.ts';
import type { Budget } from '../budget.ts';
import { bind } from '../call-arguments.ts';
import { compare, equal } from '../comparison.ts';
import { integer, orElse, truth } from '../conversions.ts';
import { bad, call, type Filter, type Filters, folded, getter, lazy } from './filter.ts';
import { iterate, length, sequence } from '../iteration.ts';
import { joinTexts, split } from '../python-strings.ts';
import { Dict, Generator, Tuple, Undefined, type Value } from '../python-values.ts';
import { str } from '../repr.ts';
import { TemplateFault } from '../template-fault.ts';

/** `sort`'s order; stable, and stable in reverse. */
function sorted<T>(items: readonly T[], key: (item: T) => Value, reverse: boolean, budget: Budget): T[] {
  budget.spend(4 * items.length);
  const keyed = items.map((item) => ({ item, key: key(item) }));
  const sign = reverse ? -1 : 1;
  return keyed.sort((a, b) => sign * compare(a.key, b.key, '<', budget)).map(({ item }) => item);
}

const extreme =
  (name: string, sign: number): Filter =>
  (value, args, budget) => {
    const [caseSensitive, path] = bind(name, args, ['case_sensitive', 'attribute']);
    const get = getter(path, budget);
    const items = iterate(value, budget);
    if (items.length === 0) return new Undefined('No aggregated item, sequence was empty.');
    const key = (item: Value): Value => folded(get(item), caseSensitive, budget);
    return items.reduce((best, item) => (sign * compare(key(item), key(best), '<', budget) < 0 ? item : best));
  };

/** Items of which one is wanted: a list is not gone through. */
const inOrder = (value: Value, budget: Budget): readonly Value[] =>
  Array.isArray(value) || value instanceof Tuple ? sequence(value, budget)! : iterate(value, budget);

export const SEQUENCE_FILTERS: Filters = {
  batch: lazy((value, args, budget) => {
    const [size, fill] = bind('batch', args, ['linecount', 'fill_with'], 1);
    const count = integer(size, 1, 'batch');
    const rows: Value[][] = [];
    for (const item of iterate(value, budget)) {
      if (rows.length === 0 || rows.at(-1)!.length === count) {
        budget.object();
        rows.push([]);
      }
      rows.at(-1)!.push(item);
    }
    if (fill !== undefined && fill !== null && rows.length > 0) {
      const missing = count - rows.at(-1)!.length;
      budget.items(Math.max(0, missing));
      for (let i = 0; i < missing; i++) rows.at(-1)!.push(fill);
    }
    return rows;
  }),
  dictsort(value, args, budget) {
    const [caseSensitive, by = 'key', reverse = false] = bind('dictsort', args, ['case_sensitive', 'by', 'reverse']);
    if (by !== 'key' && by !== 'value') throw new TemplateFault('You can only sort by either "key" or "value"');
    if (!(value instanceof Dict)) return bad(value, 'dictsort');
    const key = (entry: [Value, Value]): Value => folded(entry[by === 'key' ? 0 : 1], caseSensitive, budget);
    budget.object(value.size);
    return sorted(Array.from(value.items()), key, truth(reverse), budget).map((entry) => new Tuple(entry));
  },
  first(value, _, budget) {
    const first = value instanceof Generator ? value.next() : inOrder(value, budget).at(0);
    return orElse(first, () => new Undefined('No first item, sequence was empty.'));
  },
  groupby(value, args, budget) {
    const [path, otherwise, caseSensitive] = bind('groupby', args, ['attribute', 'default', 'case_sensitive'], 1);
    const get = getter(path, budget, otherwise);
    const key = (item: Value): Value => folded(get(item), caseSensitive, budget);
    const groups: { key: Value; grouper: Value; items: Value[] }[] = [];
    for (const item of sorted(iterate(value, budget), key, false, budget)) {
      const last = groups.at(-1);
      if (last && equal(last.key, key(item), budget)) last.items.push(item);
      else {
        budget.object(2);
        groups.push({ key: key(item), grouper: get(item), items: [item] });
      }
    }
    return groups.map(({ grouper, items }) => new Tuple([grouper, items], ['grouper', 'list']));
  },
  items: lazy((value, _, budget) => {
    if (value instanceof Undefined) return [];
    if (!(value instanceof Dict)) throw new TemplateFault('Can only get item pairs from a mapping.');
    return iterate(call(value, 'items', [], budget), budget);
  }),
  join(value, args, budget) {
    const [separator = '', path] = bind('join', args, ['d', 'attribute']);
    const texts = iterate(value, budget).map(getter(path, budget)).map((item) => str(item, budget)); // prettier-ignore
    return joinTexts(texts, str(separator, budget), budget);
  },
  last(value, _, budget) {
    if (value instanceof Generator) throw new TemplateFault("'generator' object is not reversible");
    return orElse(inOrder(value, budget).at(-1), () => new Undefined('No last item, sequence was empty.'));
  },
  length: (value) => length(value),
  list: (value, _, budget) => [...iterate(value, budget)],
  max: extreme('max', -1),
  min: extreme('min', 1),
  reverse(value, _, budget) {
    const items = [...iterate(value, budget)].reverse();
    return typeof value === 'string' ? joinTexts(items as string[], '', budget) : new Generator(() => items);
  },
  slice: lazy((value, args, budget) => {
    const [slices, fill] = bind('slice', args, ['slices', 'fill_with'], 1);
    const items = iterate(value, budget);
    const count = integer(slices, 1, 'slice');
    if (count < 1) throw new TemplateFault('division by zero');
    budget.object(count);
    const [each, extra] = [Math.floor(items.length / count), items.length % count];
    return Array.from({ length: count }, (_, i) => {
      const start = i * each + Math.min(i, extra);
      const column = items.slice(start, start + each + Number(i < extra));
      return fill !== undefined && fill !== null && i >= extra && extra > 0 ? [...column, fill] : column;
    });
  }),
  sort(value, args, budget) {
    const [reverse = false, caseSensitive, paths] = bind('sort', args, ['reverse', 'case_sensitive', 'attribute']);
    const getters = (typeof paths === 'string' ? split(paths, ',', -1, false, budget) : [paths]).map((path) =>
      getter(path, budget),
    );
    const key = (item: Value): Value => {
      budget.items(getters.length);
      const keys = getters.map((get) => folded(get(item), caseSensitive, budget));
      return keys.length === 1 ? keys[0] : keys;
    };
    return sorted(iterate(value, budget), key, truth(reverse), budget);
  },
  sum(value, args, budget) {
    const [path, start = 0] = bind('sum', args, ['attribute', 'start']);
    return iterate(value, budget)
      .map(getter(path, budget))
      .reduce((total, item) => arithmetic('+', total, item, budget), start);
  },
  unique: lazy((value, args, budget) => {
    const [caseSensitive, path] = bind('unique', args, ['case_sensitive', 'attribute']);
    const get = getter(path, budget);
    const seen = new Dict();
    return iterate(value, budget).filter((item) => {
      const key = folded(get(item), caseSensitive, budget);
      const isNew = !seen.has(key, budget);
      if (isNew) seen.set(key, true, budget);
      return isNew;
    });
  }),
};
