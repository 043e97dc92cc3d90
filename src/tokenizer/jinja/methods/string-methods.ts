import type { Budget } from '../budget.ts';
import { bindArguments } from '../call-arguments.ts';
import { requireInteger, requireText } from '../value-conversions.ts';
import { pad } from '../format-spec.ts';
import { iterate } from '../iteration.ts';
import type { Method, Methods } from './method-table.ts';
import { replaceEach } from '../piecewise.ts';
import {
  capitalize,
  isAllSpace,
  isLower,
  isUpper,
  joinTexts,
  partition,
  replace,
  split,
  splitLines,
  strip,
  titleCase,
} from '../python-strings.ts';
import { Tuple, typeName, type Value } from '../python-values.ts';
import { codePoints, slicePositions, substring } from '../slices.ts';
import { indexOf, lastIndexOf, occurrences } from '../substring-search.ts';
import { TemplateFault } from '../template-fault.ts';

const optionalInteger = (value: Value | undefined): number | undefined =>
  value === undefined || value === null ? undefined : requireInteger(value, 0, 'slice');

const optionalText = (value: Value | undefined, what: string): string | undefined =>
  value === undefined || value === null ? undefined : requireText(value, what);

/** A method without arguments. */
const withoutArguments =
  (of: (self: string, budget: Budget) => Value): Method<string> =>
  (self, args, budget) => {
    bindArguments('method', args, []);
    const result = of(self, budget);
    // The result may be longer: upper case by up to three times.
    if (typeof result === 'string') budget.spendText(result.length);
    return result;
  };

const stripping =
  (left: boolean, right: boolean): Method<string> =>
  (self, args, budget) =>
    strip(self, optionalText(bindArguments('strip', args, ['chars'])[0], 'strip'), left, right, budget);

const splitting =
  (fromRight: boolean): Method<string> =>
  (self, args, budget) => {
    const [sep, maxsplit] = bindArguments('split', args, ['sep', 'maxsplit']);
    const separator = optionalText(sep, 'split');
    if (separator === '') throw new TemplateFault('empty separator');
    return split(self, separator, requireInteger(maxsplit, -1, 'split'), fromRight, budget);
  };

const partitioning =
  (fromRight: boolean): Method<string> =>
  (self, args, budget) => {
    const separator = requireText(bindArguments('partition', args, ['sep'], 1)[0], 'partition');
    if (separator === '') throw new TemplateFault('empty separator');
    return partition(self, separator, fromRight, budget);
  };

const affix =
  (name: 'startswith' | 'endswith'): Method<string> =>
  (self, args, budget) => {
    const [given, start, end] = bindArguments(name, args, ['prefix', 'start', 'end'], 1);
    const part = substring(self, [optionalInteger(start), optionalInteger(end)], budget);
    const affixes = given instanceof Tuple ? given.items : [given];
    return affixes.some((item) => {
      const wanted = requireText(item, `${name} first arg must be str or a tuple of str`);
      budget.spendText(wanted.length);
      return name === 'startswith' ? part.startsWith(wanted) : part.endsWith(wanted);
    });
  };

/** `find`, `rfind`, `index` and `rindex`. Positions are in code points. */
const finding =
  (fromRight: boolean, mustBeThere: boolean): Method<string> =>
  (self, args, budget) => {
    const [part, begin, end] = bindArguments('find', args, ['sub', 'start', 'end'], 1);
    const [from, to] = [optionalInteger(begin), optionalInteger(end)];
    const searched = from === undefined && to === undefined ? self : substring(self, [from, to], budget);
    const wanted = requireText(part, 'find');
    const at = fromRight ? lastIndexOf(searched, wanted, budget) : indexOf(searched, wanted, 0, budget);
    if (at < 0 && mustBeThere) throw new TemplateFault('substring not found');
    if (at < 0) return -1;
    const start = from === undefined ? 0 : slicePositions(codePoints(self), [from]).start;
    return start + codePoints(searched.slice(0, at));
  };

const justifying =
  (name: string, align: string): Method<string> =>
  (self, args, budget) => {
    const [width, fill] = bindArguments(name, args, ['width', 'fillchar'], 1);
    return pad(self, { width: requireInteger(width, 0, name), fill: optionalText(fill, name), align }, budget);
  };

/** A test that a text is not empty and has none of the characters that `others` matches. */
export const onlyWithout =
  (others: RegExp): Method<string> =>
  (self) =>
    self !== '' && !others.test(self);

/** The methods of str, except `format`. */
export const STRING_METHODS: Methods<string> = {
  capitalize: withoutArguments(capitalize),
  casefold: withoutArguments((self) => self.toLowerCase().replaceAll('ß', 'ss')),
  center(self, args, budget) {
    const [width, fill] = bindArguments('center', args, ['width', 'fillchar'], 1);
    const total = requireInteger(width, 0, 'center');
    const missing = Math.max(0, total - codePoints(self));
    // As in Python, an odd space goes to the left if the width is odd.
    const left = Math.floor(missing / 2) + (missing & total & 1);
    const options = { fill: optionalText(fill, 'center') };
    const shifted = pad(self, { ...options, align: '>', width: codePoints(self) + left }, budget);
    return pad(shifted, { ...options, align: '<', width: total }, budget);
  },
  count(self, args, budget) {
    const part = requireText(bindArguments('count', args, ['sub'], 1)[0], 'count');
    return part === '' ? codePoints(self) + 1 : occurrences(self, part, Infinity, budget).length;
  },
  endswith: affix('endswith'),
  find: finding(false, false),
  index: finding(false, true),
  isalnum: onlyWithout(/[^\p{L}\p{N}]/u),
  isalpha: onlyWithout(/\P{L}/u),
  isascii: (self) => !/[^\0-\x7f]/.test(self),
  isdecimal: onlyWithout(/\P{Nd}/u),
  isdigit: onlyWithout(/\P{Nd}/u),
  isnumeric: onlyWithout(/\P{N}/u),
  islower: (self, _, budget) => isLower(self, budget),
  isspace: (self) => isAllSpace(self),
  istitle: (self, _, budget) => /\p{L}/u.test(self) && titleCase(self, budget) === self,
  isupper: (self, _, budget) => isUpper(self, budget),
  join(self, args, budget) {
    const items = iterate(bindArguments('join', args, ['iterable'], 1)[0]!, budget);
    items.forEach((item, i) => {
      if (typeof item !== 'string')
        throw new TemplateFault(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
    });
    return joinTexts(items as string[], self, budget);
  },
  ljust: justifying('ljust', '<'),
  lower: withoutArguments((self) => self.toLowerCase()),
  lstrip: stripping(true, false),
  partition: partitioning(false),
  removeprefix(self, args) {
    const prefix = requireText(bindArguments('removeprefix', args, ['prefix'], 1)[0], 'removeprefix');
    return self.startsWith(prefix) ? self.slice(prefix.length) : self;
  },
  removesuffix(self, args) {
    const suffix = requireText(bindArguments('removesuffix', args, ['suffix'], 1)[0], 'removesuffix');
    return self.endsWith(suffix) ? self.slice(0, self.length - suffix.length) : self;
  },
  replace(self, args, budget) {
    const [old, by, count] = bindArguments('replace', args, ['old', 'new', 'count'], 2);
    return replace(
      self,
      requireText(old, 'replace'),
      requireText(by, 'replace'),
      requireInteger(count, -1, 'replace'),
      budget,
    );
  },
  rfind: finding(true, false),
  rindex: finding(true, true),
  rjust: justifying('rjust', '>'),
  rpartition: partitioning(true),
  rsplit: splitting(true),
  rstrip: stripping(false, true),
  split: splitting(false),
  splitlines(self, args, budget) {
    return splitLines(
      self,
      requireInteger(bindArguments('splitlines', args, ['keepends'])[0], 0, 'splitlines') !== 0,
      budget,
    );
  },
  startswith: affix('startswith'),
  strip: stripping(true, true),
  swapcase: withoutArguments((self, budget) =>
    replaceEach(self, /\p{L}/gu, (c) => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase()), budget),
  ),
  title: withoutArguments(titleCase),
  upper: withoutArguments((self) => self.toUpperCase()),
  zfill(self, args, budget) {
    const width = requireInteger(bindArguments('zfill', args, ['width'], 1)[0], 0, 'zfill');
    const sign = /^[-+]/.exec(self)?.[0] ?? '';
    return sign + pad(self.slice(sign.length), { fill: '0', align: '>', width: width - sign.length }, budget);
  },
};
