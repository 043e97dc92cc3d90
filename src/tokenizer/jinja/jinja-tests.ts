import type { Budget } from './budget.ts';
import { compare, contains, equal } from './value-comparison.ts';
import { toNumber } from './value-conversions.ts';
import { isLower, isUpper } from './python-strings.ts';
import {
  Callable,
  Dict,
  Float,
  Generator,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
  View,
} from './python-values.ts';
import { str } from './repr.ts';
import { TemplateFault } from './template-fault.ts';

type Test = (value: Value, argument: Value, budget: Budget) => boolean;

const ordered =
  (operator: string, holds: (order: number) => boolean): Test =>
  (a, b, budget) =>
    holds(compare(a, b, operator, budget));

const remainder = (value: Value, by: number): number => {
  const number = toNumber(value);
  if (number === undefined)
    throw new TemplateFault(`unsupported operand type(s) for %: '${typeName(value)}' and 'int'`);
  return ((number % by) + by) % by;
};

const isSequence = (value: Value): boolean =>
  typeof value === 'string' ||
  Array.isArray(value) ||
  [Tuple, Dict, Range, Undefined].some((kind) => value instanceof kind);

/** The tests of Jinja, by name. */
const TESTS: Readonly<Record<string, Test>> = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => value instanceof Callable,
  defined: (value) => !(value instanceof Undefined),
  divisibleby: (value, by) => remainder(value, toNumber(by) ?? NaN) === 0,
  '==': equal,
  escaped: () => false,
  even: (value) => remainder(value, 2) === 0,
  false: (value) => value === false,
  float: (value) => value instanceof Float,
  '>=': ordered('>=', (order) => order >= 0),
  '>': ordered('>', (order) => order > 0),
  in: (value, container, budget) => contains(container, value, budget),
  integer: (value) => typeof value === 'number',
  iterable: (value) => isSequence(value) || value instanceof View || value instanceof Generator,
  '<=': ordered('<=', (order) => order <= 0),
  lower: (value, _, budget) => isLower(str(value, budget), budget),
  '<': ordered('<', (order) => order < 0),
  mapping: (value) => value instanceof Dict,
  '!=': (a, b, budget) => !equal(a, b, budget),
  none: (value) => value === null,
  number: (value) => toNumber(value) !== undefined,
  odd: (value) => remainder(value, 2) === 1,
  sameas: (a, b) => a === b,
  sequence: isSequence,
  string: (value) => typeof value === 'string',
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: (value, _, budget) => isUpper(str(value, budget), budget),
};

const ALIASES: Readonly<Partial<Record<string, string>>> = {
  ...{ eq: '==', equalto: '==', ne: '!=', lt: '<', lessthan: '<', le: '<=' },
  ...{ gt: '>', greaterthan: '>', ge: '>=' },
};

const WITH_ARGUMENT = new Set(['divisibleby', 'in', 'sameas', '==', '!=', '<', '<=', '>', '>=']);

/**
 * Applies a test of Jinja: `value is name(argument)`.
 *
 * @throws {TemplateFault} when there is no such test or the number of arguments is wrong.
 */
export function runTest(name: string, value: Value, given: readonly Value[], budget: Budget): boolean {
  const canonical = ALIASES[name] ?? name;
  if (!Object.hasOwn(TESTS, canonical)) throw new TemplateFault(`no test named '${name}'`);
  const wanted = Number(WITH_ARGUMENT.has(canonical));
  if (given.length !== wanted)
    throw new TemplateFault(`test '${name}' takes ${wanted} argument${wanted === 1 ? '' : 's'}, got ${given.length}`);
  for (const text of [value, given[0]]) if (typeof text === 'string') budget.spendText(text.length);
  return TESTS[canonical](value, given[0] ?? null, budget);
}
