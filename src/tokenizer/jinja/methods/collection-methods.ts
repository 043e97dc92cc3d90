import { bindArguments } from '../call-arguments.ts';
import { equal } from '../value-comparison.ts';
import { orElse } from '../value-conversions.ts';
import { orderedItems } from '../iteration.ts';
import type { Methods } from './method-table.ts';
import { Dict, Tuple, type Value, View } from '../python-values.ts';
import { TemplateFault } from '../template-fault.ts';

/** The methods of dict that change nothing. */
export const DICT_METHODS: Methods<Dict> = {
  copy(self, _, budget) {
    const copy = new Dict();
    for (const [key, value] of self.items()) copy.set(key, value, budget);
    return copy;
  },
  get(self, args, budget) {
    const [key, otherwise] = bindArguments('get', args, ['key', 'default'], 1);
    return orElse(self.get(key!, budget), () => otherwise ?? null);
  },
  items(self, _, budget) {
    budget.spendObject(self.size);
    return new View(
      'dict_items',
      Array.from(self.items(), (entry) => new Tuple(entry)),
    );
  },
  keys(self, _, budget) {
    budget.spendItems(self.size);
    return new View('dict_keys', self.keys());
  },
  values(self, _, budget) {
    budget.spendItems(self.size);
    return new View('dict_values', self.values());
  },
};

/** The methods of list and tuple that change nothing. */
export const SEQUENCE_METHODS: Methods<Value[] | Tuple> = {
  count(self, args, budget) {
    const [wanted] = bindArguments('count', args, ['value'], 1);
    return orderedItems(self, budget)!.filter((item) => equal(item, wanted!, budget)).length;
  },
  index(self, args, budget) {
    const [wanted] = bindArguments('index', args, ['value'], 1);
    const at = orderedItems(self, budget)!.findIndex((item) => equal(item, wanted!, budget));
    if (at < 0) throw new TemplateFault('value is not in list');
    return at;
  },
};

/** By type: the methods that the sandbox refuses, because they change the value. */
export const MUTATING_METHODS: Readonly<Record<string, readonly string[]>> = {
  list: ['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'],
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
};
