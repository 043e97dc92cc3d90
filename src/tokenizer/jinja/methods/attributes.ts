import { type FieldReader, formatBraces } from '../brace-format.ts';
import type { Budget } from '../budget.ts';
import { equal } from '../value-comparison.ts';
import { orElse } from '../value-conversions.ts';
import { iterate } from '../iteration.ts';
import { MUTATING_METHODS, DICT_METHODS, SEQUENCE_METHODS } from './collection-methods.ts';
import { boundMethod } from './method-table.ts';
import { STRING_METHODS } from './string-methods.ts';
import {
  Callable,
  Dict,
  Float,
  Loop,
  Namespace,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from '../python-values.ts';
import { characterAt } from '../slices.ts';
import { TemplateFault } from '../template-fault.ts';

/**
 * An attribute of a value, such as a method; undefined when it has none of that name.
 *
 * @throws {TemplateFault} when it is a method that would change the value.
 */
export function findAttribute(of: Value, name: string, budget: Budget): Value | undefined {
  if (of instanceof Namespace) return of.attributes.get(name);
  if (of instanceof Loop) return loopAttribute(of, name, budget);
  if (typeof of === 'string') {
    if (name === 'format') return formatMethod(of, budget);
    return boundMethod(STRING_METHODS, of, name, budget);
  }
  if (Object.hasOwn(MUTATING_METHODS, typeName(of)) && MUTATING_METHODS[typeName(of)].includes(name))
    throw new TemplateFault(`access to attribute '${name}' of '${typeName(of)}' object is unsafe.`);
  if (of instanceof Dict) return boundMethod(DICT_METHODS, of, name, budget);
  if (Array.isArray(of) && name === 'copy') return new Callable('copy', () => [...iterate(of, budget)]);
  if (of instanceof Tuple && of.names.includes(name)) return of.items[of.names.indexOf(name)];
  if (of instanceof Callable && name === 'name') return of.name;
  if (Array.isArray(of) || of instanceof Tuple) return boundMethod(SEQUENCE_METHODS, of, name, budget);
  if (of instanceof Float && name === 'is_integer') return new Callable(name, () => Number.isInteger(of.value));
  return undefined;
}

function formatMethod(self: string, budget: Budget): Value {
  budget.spendObject();
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
      budget.spendObject();
      return new Callable(name, ({ positional }) => {
        if (positional.length === 0) throw new TemplateFault('no items for cycling given');
        return positional[index0 % positional.length];
      });
    case 'changed':
      budget.spendObject();
      return new Callable(name, ({ positional }) => {
        budget.spendItems(positional.length);
        const isSame = loop.changed !== undefined && equal([...loop.changed], [...positional], budget);
        loop.changed = positional;
        return !isSame;
      });
    default:
      return undefined;
  }
}

/** `of.name`: the attribute, else the item of that name, else undefined. So `message.items` is the method of dict. */
export function getAttribute(of: Value, name: string, budget: Budget): Value {
  if (of instanceof Undefined) of.fail();
  return orElse(findAttribute(of, name, budget), () =>
    orElse(findItem(of, name, budget), () => undefinedAttribute(of, name, budget)),
  );
}

/** `of[key]`: the item, else the attribute of that name, else undefined. */
export function getItem(of: Value, key: Value, budget: Budget): Value {
  if (of instanceof Undefined) of.fail();
  if (typeof key === 'string') budget.spendText(key.length);
  else budget.spend(1);
  const asAttribute = (): Value =>
    orElse(typeof key === 'string' ? findAttribute(of, key, budget) : undefined, () =>
      undefinedAttribute(of, key, budget),
    );
  return orElse(findItem(of, key, budget), asAttribute);
}

function findItem(of: Value, key: Value, budget: Budget): Value | undefined {
  if (of instanceof Dict) return isHashable(key) ? of.get(key, budget) : undefined;
  const index = typeof key === 'boolean' ? Number(key) : key;
  if (typeof index !== 'number') return undefined;
  if (typeof of === 'string') return characterAt(of, index, budget);
  if (Array.isArray(of) || of instanceof Range) return of.at(index);
  return of instanceof Tuple ? of.items.at(index) : undefined;
}

const isHashable = (key: Value): boolean => !(Array.isArray(key) || key instanceof Dict);

/** The value of an attribute or item that is missing. */
export function undefinedAttribute(of: Value, key: Value, budget: Budget): Undefined {
  budget.spendObject();
  const object = of === null ? 'None' : `${typeName(of)} object`;
  return new Undefined(
    typeof key === 'string'
      ? `'${object}' has no attribute '${key}'`
      : `${object} has no element ${typeof key === 'number' ? key : typeName(key)}`,
  );
}
