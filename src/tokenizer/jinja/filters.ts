import type { Budget } from './budget.ts';
import { formatPercent } from './format.ts';
import { compare, equal } from './comparison.ts';
import { escapeHtml } from './markup.ts';
import { getAttribute, getItem, absent, attribute as rawAttribute, joinTexts, read, replace } from './methods.ts';
import { arithmetic, roundHalfEven } from './arithmetic.ts';
import { json, str } from './print.ts';
import { substring } from './slices.ts';
import { runTest } from './jinja-tests.ts';
import { capitalize, indent, inPieces, split, strip, titleWords } from './python-strings.ts';
import {
  type Arguments,
  bind,
  Dict,
  Float,
  Generator,
  integer,
  iterate,
  length,
  NO_ARGUMENTS,
  numeric,
  orElse,
  sequence,
  TemplateFault,
  text,
  truth,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './python-values.ts';

type Filter = (value: Value, args: Arguments, budget: Budget) => Value;

/** A filter of the text that a value prints as. */
const ofText =
  (name: string, of: (text: string, budget: Budget) => Value): Filter =>
  (value, args, budget) => {
    bind(name, args, []);
    const result = of(str(value, budget), budget);
    if (typeof result === 'string') budget.text(result.length); // Upper case can be three times as long.
    return result;
  };

/** What an `attribute` argument gets of an item: `'a.b'` and `'list.0'` go further in. */
function getter(path: Value | undefined, budget: Budget, otherwise?: Value): (item: Value) => Value {
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
function folded(value: Value, caseSensitive: Value | undefined, budget: Budget): Value {
  if (typeof value !== 'string' || truth(caseSensitive ?? false)) return value;
  budget.text(value.length);
  return value.toLowerCase();
}

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

/** A filter that does its work when the first of its items is wanted. */
const lazy =
  (items: (value: Value, args: Arguments, budget: Budget) => readonly Value[]): Filter =>
  (value, args, budget) => {
    budget.object();
    return new Generator(() => items(value, args, budget));
  };

/** `map` and `select` look at nothing that is false: not at None either, which cannot be gone through. */
const iterateIfTrue = (value: Value, budget: Budget): readonly Value[] => (truth(value) ? iterate(value, budget) : []);

/** `select`, `reject`, `selectattr` and `rejectattr`. */
const selecting = (wanted: boolean, byAttribute: boolean): Filter =>
  lazy((value, { positional }, budget) => {
    if (byAttribute && positional.length === 0) throw new TemplateFault('missing parameter for attribute name');
    const get = getter(byAttribute ? positional[0] : undefined, budget);
    const [name, ...given] = positional.slice(Number(byAttribute));
    const holds = (item: Value): boolean =>
      (positional as (Value | undefined)[])[Number(byAttribute)] === undefined
        ? truth(get(item))
        : runTest(text(name, 'test'), get(item), given, budget);
    return iterateIfTrue(value, budget).filter((item) => holds(item) === wanted);
  });

const map = lazy((value, { positional, named }, budget) => {
  const items = iterateIfTrue(value, budget);
  if (positional.length === 0 && named.has('attribute')) {
    const [path, otherwise] = bind('map', { positional, named }, ['attribute', 'default']);
    return items.map(getter(path, budget, otherwise));
  }
  if (positional.length === 0) throw new TemplateFault('map requires a filter argument');
  const name = text(positional[0], 'map');
  return items.map((item) => runFilter(name, item, { positional: positional.slice(1), named }, budget));
});

/** Items of which one is wanted: a list is not gone through. */
const inOrder = (value: Value, budget: Budget): readonly Value[] =>
  Array.isArray(value) || value instanceof Tuple ? sequence(value, budget)! : iterate(value, budget);

const FILTERS: Readonly<Record<string, Filter>> = {
  abs(value) {
    const number = Math.abs(numeric(value) ?? bad(value, 'abs()'));
    return value instanceof Float ? new Float(number) : number;
  },
  attr(value, args, budget) {
    const name = text(bind('attr', args, ['name'], 1)[0], 'attr');
    return orElse(rawAttribute(value, name, budget), () => absent(value, name, budget));
  },
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
  capitalize: ofText('capitalize', capitalize),
  center(value, args, budget) {
    const width = integer(bind('center', args, ['width'])[0], 80, 'center');
    return call(str(value, budget), 'center', [width], budget);
  },
  default(value, args) {
    const [otherwise = '', orFalse = false] = bind('default', args, ['default_value', 'boolean']);
    return value instanceof Undefined || (truth(orFalse) && !truth(value)) ? otherwise : value;
  },
  dictsort(value, args, budget) {
    const [caseSensitive, by = 'key', reverse = false] = bind('dictsort', args, ['case_sensitive', 'by', 'reverse']);
    if (by !== 'key' && by !== 'value') throw new TemplateFault('You can only sort by either "key" or "value"');
    if (!(value instanceof Dict)) return bad(value, 'dictsort');
    const key = (entry: [Value, Value]): Value => folded(entry[by === 'key' ? 0 : 1], caseSensitive, budget);
    budget.object(value.size);
    return sorted(Array.from(value.items()), key, truth(reverse), budget).map((entry) => new Tuple(entry));
  },
  escape: ofText('escape', escapeHtml),
  first(value, _, budget) {
    const first = value instanceof Generator ? value.next() : inOrder(value, budget).at(0);
    return orElse(first, () => new Undefined('No first item, sequence was empty.'));
  },
  float(value, args, budget) {
    const [otherwise = new Float(0)] = bind('float', args, ['default']);
    if (value instanceof Undefined) value.fail();
    const number = typeof value === 'string' ? parseFloatText(value, budget) : numeric(value);
    return number === undefined ? otherwise : new Float(number);
  },
  format(value, { positional, named }, budget) {
    if (named.size > 0 && positional.length > 0)
      throw new TemplateFault("can't handle positional and keyword arguments at the same time");
    return formatPercent(str(value, budget), named.size > 0 ? new Dict(named) : new Tuple(positional), budget);
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
  indent(value, args, budget) {
    const [width = 4, first = false, blank = false] = bind('indent', args, ['width', 'first', 'blank']);
    const prefix = typeof width === 'string' ? width : ' '.repeat(boundedWidth(width, budget));
    return indent(text(value, 'indent'), prefix, truth(first), truth(blank), budget);
  },
  int(value, args, budget) {
    const [otherwise = 0, base = 10] = bind('int', args, ['default', 'base']);
    if (value instanceof Undefined) value.fail();
    return orElse(parseInteger(value, integer(base, 10, 'int'), budget), () => otherwise);
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
  lower: ofText('lower', (self) => self.toLowerCase()),
  map,
  max: extreme('max', -1),
  min: extreme('min', 1),
  reject: selecting(false, false),
  rejectattr: selecting(false, true),
  replace(value, args, budget) {
    const [old, by, count] = bind('replace', args, ['old', 'new', 'count'], 2);
    return replace(str(value, budget), str(old!, budget), str(by!, budget), integer(count, -1, 'replace'), budget);
  },
  reverse(value, _, budget) {
    const items = [...iterate(value, budget)].reverse();
    return typeof value === 'string' ? joinTexts(items as string[], '', budget) : new Generator(() => items);
  },
  round(value, args) {
    const [precision, method = 'common'] = bind('round', args, ['precision', 'method']);
    const places = integer(precision, 0, 'round');
    const number = numeric(value) ?? bad(value, 'round()');
    if (method !== 'common' && method !== 'ceil' && method !== 'floor')
      throw new TemplateFault('method must be common, ceil or floor');
    if (method === 'common') {
      const rounded = roundHalfEven(number, places);
      return value instanceof Float ? new Float(rounded) : rounded;
    }
    return new Float(Math[method](number * 10 ** places) / 10 ** places);
  },
  safe: ofText('safe', (self) => self),
  select: selecting(true, false),
  selectattr: selecting(true, true),
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
  string: ofText('string', (self) => self),
  sum(value, args, budget) {
    const [path, start = 0] = bind('sum', args, ['attribute', 'start']);
    return iterate(value, budget)
      .map(getter(path, budget))
      .reduce((total, item) => arithmetic('+', total, item, budget), start);
  },
  title: ofText('title', titleWords),
  tojson(value, args, budget) {
    const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
    const [ensureAscii = false, indentation, separators, sortKeys = false] = bind('tojson', args, names);
    return json(
      value,
      {
        ensureAscii: truth(ensureAscii),
        indent: typeof indentation === 'string' ? indentation : isNothing(indentation) ? undefined : ' '.repeat(boundedWidth(indentation!, budget)), // prettier-ignore
        separators: isNothing(separators) ? undefined : separatorPair(separators!, budget),
        sortKeys: truth(sortKeys),
      },
      budget,
    );
  },
  trim(value, args, budget) {
    const [characters] = bind('trim', args, ['chars']);
    return strip(str(value, budget), isNothing(characters) ? undefined : text(characters, 'trim'), true, true, budget);
  },
  truncate(value, args, budget) {
    const names = ['length', 'killwords', 'end', 'leeway'];
    const [size, whole = false, end = '...', leeway] = bind('truncate', args, names);
    const [most, ending] = [integer(size, 255, 'truncate'), text(end, 'truncate')];
    if (length(value) <= most + integer(leeway, 5, 'truncate')) return value;
    const kept = substring(text(value, 'truncate'), [0, most - length(ending)], budget);
    if (truth(whole)) return kept + ending;
    const space = kept.lastIndexOf(' ');
    return (space < 0 ? kept : kept.slice(0, space)) + ending;
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
  upper: ofText('upper', (self) => self.toUpperCase()),
  urlencode: ofText('urlencode', (self, budget) =>
    inPieces(self, budget, (piece) =>
      encodeURIComponent(encodable(piece)).replace(/[!'()*]|%2F/g, (c) =>
        c === '%2F' ? '/' : `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
      ),
    ),
  ),
  wordcount: ofText('wordcount', (self, budget) => {
    let count = 0;
    for (const words = self.matchAll(/[\p{L}\p{N}_]+/gu); !words.next().done; count++) budget.spend(2);
    return count;
  }),
};

const ALIASES: Readonly<Partial<Record<string, string>>> = { count: 'length', d: 'default', e: 'escape', forceescape: 'escape' }; // prettier-ignore

/** Jinja's `value | name(args)`. */
export function runFilter(name: string, value: Value, args: Arguments, budget: Budget): Value {
  const canonical = ALIASES[name] ?? name;
  if (!Object.hasOwn(FILTERS, canonical)) throw new TemplateFault(`no filter named '${name}'`);
  if (typeof value === 'string') budget.text(value.length);
  else budget.spend(1);
  read(args, budget);
  return FILTERS[canonical](value, args, budget);
}

function call(value: Value, method: string, positional: Value[], budget: Budget): Value {
  const found = getAttribute(value, method, budget);
  if (typeof found !== 'object' || found === null || !('call' in found)) return bad(value, method);
  return found.call({ ...NO_ARGUMENTS, positional });
}

/** Half of a pair has no UTF-8. */
function encodable(text: string): string {
  if (/\p{Cs}/u.test(text)) throw new TemplateFault("'utf-8' codec can't encode surrogates: not allowed");
  return text;
}

const isNothing = (value: Value | undefined): boolean => value === undefined || value === null;

function bad(value: Value, what: string): never {
  if (value instanceof Undefined) value.fail();
  throw new TemplateFault(`bad operand type for ${what}: '${typeName(value)}'`);
}

function boundedWidth(value: Value, budget: Budget): number {
  const width = Math.max(0, integer(value, 0, 'width'));
  budget.text(width);
  return width;
}

function separatorPair(value: Value, budget: Budget): [string, string] {
  const [comma, colon] = sequence(value, budget) ?? [];
  return [text(comma, 'separators'), text(colon, 'separators')];
}

/** Python refuses to read longer whole numbers. */
const MAX_DIGITS = 4300;

function parseFloatText(value: string, budget: Budget): number | undefined {
  const trimmed = strip(value, undefined, true, true, budget).replace(/(?<=\d)_(?=\d)/g, '');
  const special = /^([-+]?)(?:(inf(?:inity)?)|nan)$/i.exec(trimmed);
  if (special) return special[2] ? (special[1] === '-' ? -Infinity : Infinity) : NaN;
  return /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?$/i.test(trimmed) ? Number(trimmed) : undefined;
}

/** Jinja's `int`: as Python reads the whole number, else the number cut off. */
function parseInteger(value: Value, base: number, budget: Budget): number | undefined {
  let number = numeric(value);
  if (typeof value === 'string') {
    const digits = strip(value, undefined, true, true, budget)
      .toLowerCase()
      .replace(/^([-+]?)0[box]/, '$1');
    const isWhole =
      digits.length <= MAX_DIGITS &&
      /^[-+]?[\da-z]+$/.test(digits) &&
      Array.from(digits.replace(/^[-+]/, '')).every((digit) => parseInt(digit, 36) < base);
    number = isWhole ? parseInt(digits, base) : parseFloatText(value, budget);
  }
  if (number === undefined || !Number.isFinite(number)) return undefined;
  const whole = Math.trunc(number) + 0;
  if (!Number.isSafeInteger(whole)) throw new TemplateFault(`int: ${whole} is beyond 2^53`);
  return whole;
}
