import type { Budget } from '../budget.ts';
import { bind, read } from '../call-arguments.ts';
import { orElse, text, truth } from '../conversions.ts';
import { boundedWidth, type Filter, type Filters, getter, isNothing, lazy } from './filter.ts';
import { NUMBER_FILTERS } from './number-filters.ts';
import { SEQUENCE_FILTERS } from './sequence-filters.ts';
import { TEXT_FILTERS } from './text-filters.ts';
import { iterate, sequence } from '../iteration.ts';
import { runTest } from '../jinja-tests.ts';
import { json } from '../json-dumps.ts';
import { absent, attribute } from '../methods/attributes.ts';
import { type Arguments, Undefined, type Value } from '../python-values.ts';
import { TemplateFault } from '../template-fault.ts';

function separatorPair(value: Value, budget: Budget): [string, string] {
  const [comma, colon] = sequence(value, budget) ?? [];
  return [text(comma, 'separators'), text(colon, 'separators')];
}

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

const FILTERS: Filters = {
  ...TEXT_FILTERS,
  ...NUMBER_FILTERS,
  ...SEQUENCE_FILTERS,
  attr(value, args, budget) {
    const name = text(bind('attr', args, ['name'], 1)[0], 'attr');
    return orElse(attribute(value, name, budget), () => absent(value, name, budget));
  },
  default(value, args) {
    const [otherwise = '', orFalse = false] = bind('default', args, ['default_value', 'boolean']);
    return value instanceof Undefined || (truth(orFalse) && !truth(value)) ? otherwise : value;
  },
  map,
  reject: selecting(false, false),
  rejectattr: selecting(false, true),
  select: selecting(true, false),
  selectattr: selecting(true, true),
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
};

const ALIASES: Readonly<Partial<Record<string, string>>> = { count: 'length', d: 'default', e: 'escape', forceescape: 'escape' }; // prettier-ignore

// prettier-ignore

/** Jinja's `value | name(args)`. */
export function runFilter(name: string, value: Value, args: Arguments, budget: Budget): Value {
  const canonical = ALIASES[name] ?? name;
  if (!Object.hasOwn(FILTERS, canonical)) throw new TemplateFault(`no filter named '${name}'`);
  if (typeof value === 'string') budget.text(value.length);
  else budget.spend(1);
  read(args, budget);
  return FILTERS[canonical](value, args, budget);
}
