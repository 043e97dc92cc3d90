import type { Budget } from './budget.ts';
import { equal } from './comparison.ts';
import { formatBraces, pad, type FieldReader } from './format.ts';
import { indexOf, lastIndexOf, occurrences } from './substring-search.ts';
import { characterAt, characters, codePoints, slicePositions, substring } from './slices.ts';
import { capitalize, isAllSpace, partition, replaceEach, split, splitLines, strip, titleCase } from './python-strings.ts';
import {
  type Arguments,
  bind,
  Callable,
  Dict,
  Float,
  integer,
  iterate,
  Loop,
  Namespace,
  orElse,
  Range,
  sequence,
  TemplateFault,
  text,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './python-values.ts';

type Method<T> = (self: T, args: Arguments, budget: Budget) => Value;
type Methods<T> = Readonly<Record<string, Method<T>>>;

const optionalInteger = (value: Value | undefined): number | undefined =>
  value === undefined || value === null ? undefined : integer(value, 0, 'slice');

const optionalText = (value: Value | undefined, what: string): string | undefined =>
  value === undefined || value === null ? undefined : text(value, what);

/** A method without arguments. */
const plain =
  (of: (self: string, budget: Budget) => Value): Method<string> =>
  (self, args, budget) => {
    bind('method', args, []);
    const result = of(self, budget);
    if (typeof result === 'string') budget.text(result.length); // Upper case can be three times as long.
    return result;
  };

const stripping =
  (left: boolean, right: boolean): Method<string> =>
  (self, args, budget) =>
    strip(self, optionalText(bind('strip', args, ['chars'])[0], 'strip'), left, right, budget);

const splitting =
  (fromRight: boolean): Method<string> =>
  (self, args, budget) => {
    const [sep, maxsplit] = bind('split', args, ['sep', 'maxsplit']);
    const separator = optionalText(sep, 'split');
    if (separator === '') throw new TemplateFault('empty separator');
    return split(self, separator, integer(maxsplit, -1, 'split'), fromRight, budget);
  };

const partitioning =
  (fromRight: boolean): Method<string> =>
  (self, args, budget) => {
    const separator = text(bind('partition', args, ['sep'], 1)[0], 'partition');
    if (separator === '') throw new TemplateFault('empty separator');
    return partition(self, separator, fromRight, budget);
  };

const affix =
  (name: 'startswith' | 'endswith'): Method<string> =>
  (self, args, budget) => {
    const [given, start, end] = bind(name, args, ['prefix', 'start', 'end'], 1);
    const part = substring(self, [optionalInteger(start), optionalInteger(end)], budget);
    const affixes = given instanceof Tuple ? given.items : [given];
    return affixes.some((item) => {
      const wanted = text(item, `${name} first arg must be str or a tuple of str`);
      budget.text(wanted.length);
      return name === 'startswith' ? part.startsWith(wanted) : part.endsWith(wanted);
    });
  };

/** `find`, `rfind`, `index` and `rindex`, in code points. */
const finding =
  (fromRight: boolean, mustBeThere: boolean): Method<string> =>
  (self, args, budget) => {
    const [part, begin, end] = bind('find', args, ['sub', 'start', 'end'], 1);
    const [from, to] = [optionalInteger(begin), optionalInteger(end)];
    const searched = from === undefined && to === undefined ? self : substring(self, [from, to], budget);
    const wanted = text(part, 'find');
    const at = fromRight ? lastIndexOf(searched, wanted, budget) : indexOf(searched, wanted, 0, budget);
    if (at < 0 && mustBeThere) throw new TemplateFault('substring not found');
    if (at < 0) return -1;
    const start = from === undefined ? 0 : slicePositions(codePoints(self), [from]).start;
    return start + codePoints(searched.slice(0, at));
  };

const justifying =
  (name: string, align: string): Method<string> =>
  (self, args, budget) => {
    const [width, fill] = bind(name, args, ['width', 'fillchar'], 1);
    return pad(self, { width: integer(width, 0, name), fill: optionalText(fill, name), align }, budget);
  };

/** Whether there are characters, and none of another kind. */
const all =
  (others: RegExp): Method<string> =>
  (self) =>
    self !== '' && !others.test(self);

export function replace(self: string, old: string, by: string, count: number, budget: Budget): string {
  const most = count < 0 ? Infinity : count;
  if (old === '') {
    const all = characters(self, budget);
    const times = Math.min(most, all.length + 1);
    budget.text(self.length + times * by.length);
    const pieces = all.slice(0, times).map((character) => by + character);
    return pieces.join('') + all.slice(times).join('') + (times > all.length ? by : '');
  }
  const times = occurrences(self, old, most, budget).length;
  budget.text(self.length + times * Math.max(0, by.length - old.length));
  return times === 0 ? self : split(self, old, times, false, budget).join(by);
}

const STRING_METHODS: Methods<string> = {
  capitalize: plain(capitalize),
  casefold: plain((self) => self.toLowerCase().replaceAll('ß', 'ss')),
  center(self, args, budget) {
    const [width, fill] = bind('center', args, ['width', 'fillchar'], 1);
    const total = integer(width, 0, 'center');
    const missing = Math.max(0, total - codePoints(self));
    // Python puts the odd space to the left where the width is odd.
    const left = Math.floor(missing / 2) + (missing & total & 1);
    const options = { fill: optionalText(fill, 'center') };
    const shifted = pad(self, { ...options, align: '>', width: codePoints(self) + left }, budget);
    return pad(shifted, { ...options, align: '<', width: total }, budget);
  },
  count(self, args, budget) {
    const part = text(bind('count', args, ['sub'], 1)[0], 'count');
    return part === '' ? codePoints(self) + 1 : occurrences(self, part, Infinity, budget).length;
  },
  endswith: affix('endswith'),
  find: finding(false, false),
  index: finding(false, true),
  isalnum: all(/[^\p{L}\p{N}]/u),
  isalpha: all(/\P{L}/u),
  isascii: (self) => !/[^\0-\x7f]/.test(self),
  isdecimal: all(/\P{Nd}/u),
  isdigit: all(/\P{Nd}/u),
  isnumeric: all(/\P{N}/u),
  islower: (self, _, budget) => isLower(self, budget),
  isspace: (self) => isAllSpace(self),
  istitle: (self, _, budget) => /\p{L}/u.test(self) && titleCase(self, budget) === self,
  isupper: (self, _, budget) => isUpper(self, budget),
  join(self, args, budget) {
    const items = iterate(bind('join', args, ['iterable'], 1)[0]!, budget);
    items.forEach((item, i) => {
      if (typeof item !== 'string')
        throw new TemplateFault(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
    });
    return joinTexts(items as string[], self, budget);
  },
  ljust: justifying('ljust', '<'),
  lower: plain((self) => self.toLowerCase()),
  lstrip: stripping(true, false),
  partition: partitioning(false),
  removeprefix(self, args) {
    const prefix = text(bind('removeprefix', args, ['prefix'], 1)[0], 'removeprefix');
    return self.startsWith(prefix) ? self.slice(prefix.length) : self;
  },
  removesuffix(self, args) {
    const suffix = text(bind('removesuffix', args, ['suffix'], 1)[0], 'removesuffix');
    return self.endsWith(suffix) ? self.slice(0, self.length - suffix.length) : self;
  },
  replace(self, args, budget) {
    const [old, by, count] = bind('replace', args, ['old', 'new', 'count'], 2);
    return replace(self, text(old, 'replace'), text(by, 'replace'), integer(count, -1, 'replace'), budget);
  },
  rfind: finding(true, false),
  rindex: finding(true, true),
  rjust: justifying('rjust', '>'),
  rpartition: partitioning(true),
  rsplit: splitting(true),
  rstrip: stripping(false, true),
  split: splitting(false),
  splitlines(self, args, budget) {
    return splitLines(self, integer(bind('splitlines', args, ['keepends'])[0], 0, 'splitlines') !== 0, budget);
  },
  startswith: affix('startswith'),
  strip: stripping(true, true),
  swapcase: plain((self, budget) =>
    replaceEach(self, /\p{L}/gu, (c) => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase()), budget),
  ),
  title: plain(titleCase),
  upper: plain((self) => self.toUpperCase()),
  zfill(self, args, budget) {
    const width = integer(bind('zfill', args, ['width'], 1)[0], 0, 'zfill');
    const sign = /^[-+]/.exec(self)?.[0] ?? '';
    return sign + pad(self.slice(sign.length), { fill: '0', align: '>', width: width - sign.length }, budget);
  },
};

export function isLower(self: string, budget: Budget): boolean {
  budget.text(4 * self.length); // One character can become three.
  return self === self.toLowerCase() && self !== self.toUpperCase();
}

export function isUpper(self: string, budget: Budget): boolean {
  budget.text(4 * self.length);
  return self === self.toUpperCase() && self !== self.toLowerCase();
}

/** `separator.join(texts)`, which could be far longer than what it is made of. */
export function joinTexts(texts: readonly string[], separator: string, budget: Budget): string {
  const total = texts.reduce((sum, item) => sum + item.length + separator.length, 0);
  budget.text(total);
  return texts.join(separator);
}

const DICT_METHODS: Methods<Dict> = {
  copy(self, _, budget) {
    const copy = new Dict();
    for (const [key, value] of self.items()) copy.set(key, value, budget);
    return copy;
  },
  get(self, args, budget) {
    const [key, otherwise] = bind('get', args, ['key', 'default'], 1);
    return orElse(self.get(key!, budget), () => otherwise ?? null);
  },
  items(self, _, budget) {
    budget.object(self.size);
    return new View(
      'dict_items',
      Array.from(self.items(), (entry) => new Tuple(entry)),
    );
  },
  keys(self, _, budget) {
    budget.items(self.size);
    return new View('dict_keys', self.keys());
  },
  values(self, _, budget) {
    budget.items(self.size);
    return new View('dict_values', self.values());
  },
};

const SEQUENCE_METHODS: Methods<Value[] | Tuple> = {
  count(self, args, budget) {
    const [wanted] = bind('count', args, ['value'], 1);
    return sequence(self, budget)!.filter((item) => equal(item, wanted!, budget)).length;
  },
  index(self, args, budget) {
    const [wanted] = bind('index', args, ['value'], 1);
    const at = sequence(self, budget)!.findIndex((item) => equal(item, wanted!, budget));
    if (at < 0) throw new TemplateFault('value is not in list');
    return at;
  },
};

/** Methods that Python has and a sandbox refuses, because they would change what others see. */
const CHANGES: Readonly<Record<string, readonly string[]>> = {
  list: ['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'],
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
};

/** The attribute of a value, such as a method; undefined where it has none of that name. */
export function attribute(of: Value, name: string, budget: Budget): Value | undefined {
  if (of instanceof Namespace) return of.attributes.get(name);
  if (of instanceof Loop) return loopAttribute(of, name, budget);
  if (typeof of === 'string') {
    if (name === 'format') return formatMethod(of, budget);
    return method(STRING_METHODS, of, name, budget);
  }
  if (Object.hasOwn(CHANGES, typeName(of)) && CHANGES[typeName(of)].includes(name))
    throw new TemplateFault(`access to attribute '${name}' of '${typeName(of)}' object is unsafe.`);
  if (of instanceof Dict) return method(DICT_METHODS, of, name, budget);
  if (Array.isArray(of) && name === 'copy') return new Callable('copy', () => [...iterate(of, budget)]);
  if (of instanceof Tuple && of.names.includes(name)) return of.items[of.names.indexOf(name)];
  if (of instanceof Callable && name === 'name') return of.name;
  if (Array.isArray(of) || of instanceof Tuple) return method(SEQUENCE_METHODS, of, name, budget);
  if (of instanceof Float && name === 'is_integer') return new Callable(name, () => Number.isInteger(of.value));
  return undefined;
}

function method<T>(methods: Methods<T>, self: T, name: string, budget: Budget): Value | undefined {
  if (!Object.hasOwn(methods, name)) return undefined;
  budget.object();
  return new Callable(name, (args) => {
    if (typeof self === 'string') budget.text(self.length);
    read(args, budget);
    return methods[name](self, args, budget);
  });
}

/** What a function is given: texts are read, or made one where they were put together of parts. */
export function read({ positional, named }: Arguments, budget: Budget): void {
  for (const value of positional) if (typeof value === 'string') budget.text(value.length);
  for (const value of named.values()) if (typeof value === 'string') budget.text(value.length);
}

function formatMethod(self: string, budget: Budget): Value {
  budget.object();
  const fields: FieldReader = {
    attribute: (of, name) => getAttribute(of, name, budget),
    item: (of, key) => getItem(of, key, budget),
  };
  return new Callable('format', ({ positional, named }) => formatBraces(self, positional, named, fields, budget));
}

function loopAttribute(loop: Loop, name: string, budget: Budget): Value | undefined {
  const { index0, items, depth0 } = loop;
  switch (name) {
    case 'index':
      return index0 + 1;
    case 'index0':
      return index0;
    case 'revindex':
      return items.length - index0;
    case 'revindex0':
      return items.length - index0 - 1;
    case 'first':
      return index0 === 0;
    case 'last':
      return index0 === items.length - 1;
    case 'length':
      return items.length;
    case 'depth':
      return depth0 + 1;
    case 'depth0':
      return depth0;
    case 'previtem':
      return index0 > 0 ? items[index0 - 1] : new Undefined('there is no previous item');
    case 'nextitem':
      return index0 + 1 < items.length ? items[index0 + 1] : new Undefined('there is no next item');
    case 'cycle':
      budget.object();
      return new Callable(name, ({ positional }) => {
        if (positional.length === 0) throw new TemplateFault('no items for cycling given');
        return positional[index0 % positional.length];
      });
    case 'changed':
      budget.object();
      return new Callable(name, ({ positional }) => {
        budget.items(positional.length);
        const isSame = loop.changed !== undefined && equal([...loop.changed], [...positional], budget);
        loop.changed = positional;
        return !isSame;
      });
    default:
      return undefined;
  }
}

/** `of.name`: an attribute, else an item. So `message.items` is dict's method, whatever the message holds. */
export function getAttribute(of: Value, name: string, budget: Budget): Value {
  if (of instanceof Undefined) of.fail();
  return orElse(attribute(of, name, budget), () => orElse(item(of, name, budget), () => absent(of, name, budget)));
}

/** `of[key]`: an item, else an attribute. */
export function getItem(of: Value, key: Value, budget: Budget): Value {
  if (of instanceof Undefined) of.fail();
  if (typeof key === 'string') budget.text(key.length);
  else budget.spend(1);
  const asAttribute = (): Value =>
    orElse(typeof key === 'string' ? attribute(of, key, budget) : undefined, () => absent(of, key, budget));
  return orElse(item(of, key, budget), asAttribute);
}

function item(of: Value, key: Value, budget: Budget): Value | undefined {
  if (of instanceof Dict) return isHashable(key) ? of.get(key, budget) : undefined;
  const index = typeof key === 'boolean' ? Number(key) : key;
  if (typeof index !== 'number') return undefined;
  if (typeof of === 'string') return characterAt(of, index, budget);
  if (Array.isArray(of) || of instanceof Range) return of.at(index);
  return of instanceof Tuple ? of.items.at(index) : undefined;
}

const isHashable = (key: Value): boolean => !(Array.isArray(key) || key instanceof Dict);

export function absent(of: Value, key: Value, budget: Budget): Undefined {
  budget.object();
  const object = of === null ? 'None' : `${typeName(of)} object`;
  return new Undefined(
    typeof key === 'string'
      ? `'${object}' has no attribute '${key}'`
      : `${object} has no element ${typeof key === 'number' ? key : typeName(key)}`,
  );
}
