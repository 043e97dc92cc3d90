import type { Budget } from './budget.ts';
import { pad, type FormatSpec } from './format-spec.ts';
import { Float } from './python-values.ts';
import { floatText } from './repr.ts';
import { roundHalfEven } from './rounding.ts';
import { TemplateFault } from './template-fault.ts';

/** Formats a number by a specification. @throws {TemplateFault} when its type is not for this number. */
export function formatNumber(value: number | Float, spec: FormatSpec, budget: Budget): string {
  const number = typeof value === 'number' ? value : value.value;
  const isNegative = number < 0 || Object.is(number, -0);
  budget.spendText(spec.precision ?? 0);
  let digits = digitsOf(Math.abs(number), value instanceof Float, spec);
  if (spec.grouping) digits = digits.replace(/^\d+/, (whole) => whole.replace(/\B(?=(?:\d{3})+$)/g, spec.grouping!));
  const sign = isNegative ? '-' : spec.sign === '+' || spec.sign === ' ' ? spec.sign : '';
  if (spec.align === '=') {
    return sign + pad(digits, { ...spec, align: '>', width: Math.max(0, (spec.width ?? 0) - sign.length) }, budget);
  }
  return pad(sign + digits, { ...spec, align: spec.align ?? '>' }, budget);
}

function digitsOf(number: number, isFloat: boolean, { type, precision, alternate }: FormatSpec): string {
  switch (type) {
    case undefined:
      if (precision !== undefined) return general(number, precision, isFloat);
      return isFloat ? floatText(number) : String(number);
    case 'd':
    case 'n':
      if (isFloat) throw new TemplateFault(`Unknown format code '${type}' for object of type 'float'`);
      return String(number);
    case 'x':
    case 'X':
    case 'o':
    case 'b': {
      const radix = { x: 16, X: 16, o: 8, b: 2 }[type];
      const text = (alternate ? `0${type}` : '') + number.toString(radix);
      return type === 'X' ? text.toUpperCase() : text;
    }
    case 'f':
    case 'F':
      return fixed(number, precision ?? 6);
    case '%':
      return `${fixed(number * 100, precision ?? 6)}%`;
    case 'e':
    case 'E': {
      const text = exponential(number, precision ?? 6);
      return type === 'E' ? text.toUpperCase() : text;
    }
    case 'g':
    case 'G': {
      const text = general(number, precision ?? 6, false);
      return type === 'G' ? text.toUpperCase() : text;
    }
    default:
      throw new TemplateFault(`Unknown format code '${type}' for a number`);
  }
}

function fixed(number: number, places: number): string {
  const digits = Math.min(100, places);
  return roundHalfEven(number, digits).toFixed(digits) + '0'.repeat(places - digits);
}

const exponential = (number: number, places: number): string =>
  number.toExponential(Math.min(100, places)).replace(/e([-+])(\d)$/, 'e$10$2');

function general(number: number, precision: number, isFloat: boolean): string {
  const places = Math.max(1, Math.min(100, precision));
  const power = number === 0 ? 0 : Number(number.toExponential(places - 1).split('e')[1]);
  const trim = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
  if (power < -4 || power >= places) {
    const [digits, exponent] = exponential(number, places - 1).split('e');
    return `${trim(digits)}e${exponent}`;
  }
  const text = trim(number.toFixed(Math.min(100, Math.max(0, places - 1 - power))));
  return isFloat && !text.includes('.') ? `${text}.0` : text;
}
