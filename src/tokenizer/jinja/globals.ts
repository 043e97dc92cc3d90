import type { Budget } from './budget.ts';
import { requireInteger, requireText } from './value-conversions.ts';
import { iterate } from './iteration.ts';
import { type Arguments, Callable, Dict, Namespace, Range, type Value } from './python-values.ts';
import { TemplateFault } from './template-fault.ts';

/** The limit of the sandbox that transformers renders templates in. */
const MAX_RANGE = 100_000;

/** The functions that Jinja gives every template: `range`, `namespace` and `dict`. */
export function globalFunctions(budget: Budget): Callable[] {
  return [
    new Callable('range', range),
    new Callable('namespace', (args) => new Namespace(fieldsFrom(args, budget))),
    new Callable('dict', (args) => new Dict(fieldsFrom(args, budget))),
  ];
}

function range({ positional }: Arguments): Range {
  const numbers = positional.map((value) => requireInteger(value, NaN, 'range'));
  const [start, stop, step = 1] = numbers.length === 1 ? [0, numbers[0]] : numbers;
  if (numbers.length === 0 || numbers.length > 3 || step === 0 || numbers.some(Number.isNaN))
    throw new TemplateFault(`range(${numbers.join(', ')}) is not a range`);
  const range = new Range(start, stop, step);
  if (range.length > MAX_RANGE) throw new TemplateFault(`a range has more than ${MAX_RANGE} items in a list`);
  return range;
}

/** The fields that the arguments of `dict` or `namespace` give: a dict or pairs, then named values. */
function fieldsFrom({ positional, named }: Arguments, budget: Budget): Map<string, Value> {
  const [given, ...more] = positional as (Value | undefined)[];
  if (more.length > 0) throw new TemplateFault(`expected at most 1 argument, got ${positional.length}`);
  const fields = new Map<string, Value>();
  if (given instanceof Dict) {
    budget.spendObject(given.size);
    for (const [key, value] of given.items()) fields.set(requireText(key, 'dict'), value);
  } else if (given !== undefined) {
    for (const pair of iterate(given, budget)) {
      const [key, value] = iterate(pair, budget);
      budget.spendObject(1);
      fields.set(requireText(key, 'dict'), value);
    }
  }
  budget.spendObject(named.size);
  for (const [name, value] of named) fields.set(name, value);
  return fields;
}
