import type { Budget } from '../budget.ts';
import { bindArguments, spendOnTexts } from '../call-arguments.ts';
import { orElse, requireText, isTruthy } from '../value-conversions.ts';
import { boundedWidth, type Filter, type Filters, attributeGetter, isMissing, lazyFilter } from './filter.ts';
import { NUMBER_FILTERS } from './number-filters.ts';
import { SEQUENCE_FILTERS } from './sequence-filters.ts';
import { TEXT_FILTERS } from './text-filters.ts';
import { iterate, orderedItems } from '../iteration.ts';
import { runTest } from '../jinja-tests.ts';
import { jsonDumps } from '../json-dumps.ts';
import { undefinedAttribute, findAttribute } from '../methods/attributes.ts';
import { type Arguments, Undefined, type Value } from '../python-values.ts';
import { TemplateFault } from '../template-fault.ts';

function separatorPair(value: Value, budget: Budget): [string, string] {
  const [comma, colon] = orderedItems(value, budget) ?? [];
  return [requireText(comma, 'separators'), requireText(colon, 'separators')];
}

/** The indent that a `tojson` argument gives: a text, or a number of spaces. */
const indentText = (value: Value, budget: Budget): string =>
  typeof value === 'string' ? value : ' '.repeat(boundedWidth(value, budget));

/** The items of a value for `map` and `select`, which accept false values such as None as empty. */
const iterateIfTrue = (value: Value, budget: Budget): readonly Value[] =>
  isTruthy(value) ? iterate(value, budget) : [];

/** The filters `select`, `reject`, `selectattr` and `rejectattr`. */
const selectFilter = (wanted: boolean, byAttribute: boolean): Filter =>
  lazyFilter((value, { positional }, budget) => {
    if (byAttribute && positional.length === 0) throw new TemplateFault('missing parameter for attribute name');
    const get = attributeGetter(byAttribute ? positional[0] : undefined, budget);
    const [name, ...given] = positional.slice(Number(byAttribute));
    const holds = (item: Value): boolean =>
      (positional as (Value | undefined)[])[Number(byAttribute)] === undefined
        ? isTruthy(get(item))
        : runTest(requireText(name, 'test'), get(item), given, budget);
    return iterateIfTrue(value, budget).filter((item) => holds(item) === wanted);
  });

const mapFilter = lazyFilter((value, { positional, named }, budget) => {
  const items = iterateIfTrue(value, budget);
  if (positional.length === 0 && named.has('attribute')) {
    const [path, otherwise] = bindArguments('map', { positional, named }, ['attribute', 'default']);
    return items.map(attributeGetter(path, budget, otherwise));
  }
  if (positional.length === 0) throw new TemplateFault('map requires a filter argument');
  const name = requireText(positional[0], 'map');
  return items.map((item) => runFilter(name, item, { positional: positional.slice(1), named }, budget));
});

/** The supported filters of Jinja, by name. */
const FILTERS: Filters = {
  ...TEXT_FILTERS,
  ...NUMBER_FILTERS,
  ...SEQUENCE_FILTERS,
  attr(value, args, budget) {
    const name = requireText(bindArguments('attr', args, ['name'], 1)[0], 'attr');
    return orElse(findAttribute(value, name, budget), () => undefinedAttribute(value, name, budget));
  },
  default(value, args) {
    const [otherwise = '', orFalse = false] = bindArguments('default', args, ['default_value', 'boolean']);
    return value instanceof Undefined || (isTruthy(orFalse) && !isTruthy(value)) ? otherwise : value;
  },
  map: mapFilter,
  reject: selectFilter(false, false),
  rejectattr: selectFilter(false, true),
  select: selectFilter(true, false),
  selectattr: selectFilter(true, true),
  tojson(value, args, budget) {
    const names = ['ensure_ascii', 'indent', 'separators', 'sort_keys'];
    const [ensureAscii = false, indentation, separators, sortKeys = false] = bindArguments('tojson', args, names);
    return jsonDumps(
      value,
      {
        ensureAscii: isTruthy(ensureAscii),
        indent: isMissing(indentation) ? undefined : indentText(indentation!, budget),
        separators: isMissing(separators) ? undefined : separatorPair(separators!, budget),
        sortKeys: isTruthy(sortKeys),
      },
      budget,
    );
  },
};

const ALIASES: Readonly<Partial<Record<string, string>>> = {
  count: 'length',
  d: 'default',
  e: 'escape',
  forceescape: 'escape',
};

/** Applies a filter: `value | name(args)`. @throws {TemplateFault} when there is no such filter. */
export function runFilter(name: string, value: Value, args: Arguments, budget: Budget): Value {
  const canonical = ALIASES[name] ?? name;
  if (!Object.hasOwn(FILTERS, canonical)) throw new TemplateFault(`no filter named '${name}'`);
  if (typeof value === 'string') budget.spendText(value.length);
  else budget.spend(1);
  spendOnTexts(args, budget);
  return FILTERS[canonical](value, args, budget);
}
