import type { Budget } from '../budget.ts';
import { bindArguments } from '../call-arguments.ts';
import { requireInteger, toNumber, orElse } from '../value-conversions.ts';
import { failOperand, type Filters } from './filter.ts';
import { strip } from '../python-strings.ts';
import { Float, Undefined, type Value } from '../python-values.ts';
import { roundHalfEven } from '../rounding.ts';
import { TemplateFault } from '../template-fault.ts';

/** The filters that make numbers. */
export const NUMBER_FILTERS: Filters = {
  abs(value) {
    const number = Math.abs(toNumber(value) ?? failOperand(value, 'abs()'));
    return value instanceof Float ? new Float(number) : number;
  },
  float(value, args, budget) {
    const [otherwise = new Float(0)] = bindArguments('float', args, ['default']);
    if (value instanceof Undefined) value.fail();
    const number = typeof value === 'string' ? parseFloatText(value, budget) : toNumber(value);
    return number === undefined ? otherwise : new Float(number);
  },
  int(value, args, budget) {
    const [otherwise = 0, base = 10] = bindArguments('int', args, ['default', 'base']);
    if (value instanceof Undefined) value.fail();
    return orElse(parseInteger(value, requireInteger(base, 10, 'int'), budget), () => otherwise);
  },
  round(value, args) {
    const [precision, method = 'common'] = bindArguments('round', args, ['precision', 'method']);
    const places = requireInteger(precision, 0, 'round');
    const number = toNumber(value) ?? failOperand(value, 'round()');
    if (method !== 'common' && method !== 'ceil' && method !== 'floor')
      throw new TemplateFault('method must be common, ceil or floor');
    if (method === 'common') {
      const rounded = roundHalfEven(number, places);
      return value instanceof Float ? new Float(rounded) : rounded;
    }
    return new Float(Math[method](number * 10 ** places) / 10 ** places);
  },
};

/** Digits of an integer; the limit of Python. */
const MAX_DIGITS = 4300;

function parseFloatText(value: string, budget: Budget): number | undefined {
  const trimmed = strip(value, undefined, true, true, budget).replace(/(?<=\d)_(?=\d)/g, '');
  const special = /^([-+]?)(?:(inf(?:inity)?)|nan)$/i.exec(trimmed);
  if (special) return special[2] ? (special[1] === '-' ? -Infinity : Infinity) : NaN;
  return /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?$/i.test(trimmed) ? Number(trimmed) : undefined;
}

/** Jinja's `int`: an integer in Python's notation, else a number truncated; undefined when it is neither. */
function parseInteger(value: Value, base: number, budget: Budget): number | undefined {
  let number = toNumber(value);
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
