import type { Budget } from './budget.ts';
import { toNumber } from './value-conversions.ts';
import { formatPercent } from './percent-format.ts';
import { Float, Tuple, typeName, Undefined, type Value } from './python-values.ts';
import { TemplateFault } from './template-fault.ts';

/**
 * Python's operators `+ - * / // % **`.
 *
 * @throws {TemplateFault} when the types do not fit, the divisor is 0, or an int is beyond 2^53.
 */
export function arithmetic(operator: string, a: Value, b: Value, budget: Budget): Value {
  if (operator === '%' && typeof a === 'string') return formatPercent(a, b, budget);
  for (const operand of [a, b]) if (operand instanceof Undefined) operand.fail();
  const [x, y] = [toNumber(a), toNumber(b)];
  if (x !== undefined && y !== undefined) {
    return calculate(operator, x, y, a instanceof Float || b instanceof Float);
  }
  if (operator === '+') {
    if (typeof a === 'string' && typeof b === 'string') {
      // JavaScript does not copy the texts, so only the length is checked.
      budget.checkLength(a.length + b.length);
      return a + b;
    }
    if (Array.isArray(a) && Array.isArray(b)) return concatenate(a, b, budget);
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple(concatenate(a.items, b.items, budget));
    if (typeof a === 'string') throw new TemplateFault(`can only concatenate str (not "${typeName(b)}") to str`);
  }
  if (operator === '*') {
    const [times, repeated] = isWhole(a) ? [a, b] : [b, a];
    const result = isWhole(times) ? repeat(repeated, Math.max(0, Number(times)), budget) : undefined;
    if (result !== undefined) return result;
  }
  const sign = operator === '**' ? '** or pow()' : operator;
  throw new TemplateFault(`unsupported operand type(s) for ${sign}: '${typeName(a)}' and '${typeName(b)}'`);
}

const isWhole = (value: Value): boolean => typeof value === 'number' || typeof value === 'boolean';

function calculate(operator: string, x: number, y: number, isFloat: boolean): Value {
  if (y === 0 && ['/', '//', '%'].includes(operator)) throw new TemplateFault('division by zero');
  const quotient = Math.floor(x / y);
  const results: Record<string, () => number> = {
    '+': () => x + y,
    '-': () => x - y,
    '*': () => x * y,
    '/': () => x / y,
    '//': () => quotient,
    // Unlike in JavaScript, the sign is that of the divisor.
    '%': () => ((x % y) + y) % y,
    '**': () => x ** y,
  };
  const result = results[operator]();
  if (isFloat || operator === '/' || (operator === '**' && y < 0)) return new Float(result);
  if (!Number.isSafeInteger(result)) throw new TemplateFault(`${x} ${operator} ${y} is beyond 2^53`);
  return result;
}

function concatenate(a: readonly Value[], b: readonly Value[], budget: Budget): Value[] {
  budget.spendItems(a.length + b.length);
  return [...a, ...b];
}

function repeat(value: Value, times: number, budget: Budget): Value | undefined {
  if (typeof value === 'string') {
    budget.spendText(value.length * times);
    return value.repeat(times);
  }
  const items = Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items === undefined) return undefined;
  budget.spendItems(items.length * times);
  const repeated = Array.from({ length: items.length * times }, (_, i) => items[i % items.length]);
  return value instanceof Tuple ? new Tuple(repeated) : repeated;
}

/** Python's unary `-` and `+`. */
export function applySign(sign: '-' | '+', value: Value): Value {
  if (value instanceof Undefined) value.fail();
  const number = toNumber(value);
  if (number === undefined) throw new TemplateFault(`bad operand type for unary ${sign}: '${typeName(value)}'`);
  const result = sign === '-' ? -number : number;
  // Adding 0 makes 0 of -0, which no int is.
  return value instanceof Float ? new Float(result) : result + 0;
}
