import type { Budget } from './budget.ts';
import { floatText, repr, str } from './print.ts';
import { roundHalfEven } from './arithmetic.ts';
import { occurrences } from './substring-search.ts';
import { codePoints, substring } from './slices.ts';
import {
  Dict,
  Float,
  numeric,
  orElse,
  Range,
  TemplateFault,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './python-values.ts';

/** How a value fills its place: the parts of Python's format specification that concern text and numbers. */
interface Spec {
  readonly fill?: string | undefined;
  readonly align?: string | undefined;
  readonly sign?: string | undefined;
  readonly alternate?: boolean;
  readonly width?: number;
  readonly grouping?: string | undefined;
  readonly precision?: number | undefined;
  readonly type?: string | undefined;
}

/** What filling a place costs. */
const STEPS_PER_PLACE = 10;
/** Of what names an argument and its parts, in `{}`. */
const MAX_FIELD = 1000;
/** Names are bounded, so that a `%(` without end costs no search through the rest. */
const PERCENT = /%(?:\(([^)]{0,100})\))?([-+ 0#]*)(\d+|\*)?(?:\.(\d+|\*))?[hlL]?([\s\S]?)/g;

/** Counts what is put in the places of one format: a short format can name a long text many times. */
function filling(budget: Budget) {
  let length = 0;
  return <Match extends unknown[]>(show: (...match: Match) => string) =>
    (...match: Match): string => {
      const shown = show(...match);
      length += shown.length;
      budget.room(length);
      budget.text(shown.length);
      return shown;
    };
}

/** Python's `format % argument`: a tuple has the values in order, a dict by name; all else is the one value. */
export function formatPercent(format: string, argument: Value, budget: Budget): string {
  const values = argument instanceof Tuple ? argument.items : [argument];
  const named = argument instanceof Dict ? argument : undefined;
  let at = 0;
  const next = (): Value => {
    if (at >= values.length) throw new TemplateFault('not enough arguments for format string');
    return values[at++];
  };
  const count = (text: string | undefined): number | undefined => {
    if (text === undefined) return undefined;
    return text === '*' ? (numeric(next()) ?? 0) : Number(text);
  };
  budget.text(format.length);
  budget.spend(STEPS_PER_PLACE * occurrences(format, '%', Infinity, budget).length);
  const fill = filling(budget);
  const result = format.replace(
    PERCENT,
    fill((_, name: string | undefined, flags: string, w: string, p: string, type: string) => {
      if (type === '%') return '%';
      const [width, precision] = [count(w) ?? 0, count(p)];
      let value: Value;
      if (name === undefined) value = next();
      else {
        value = orElse(named?.get(name, budget), () => missingKey(name));
      }
      const left = flags.includes('-');
      const sign = flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-';
      const zeros = flags.includes('0') && !left && !'src'.includes(type);
      const align = left ? '<' : zeros ? '=' : '>';
      const spec = { fill: zeros ? '0' : ' ', align, sign, width, precision, alternate: flags.includes('#') };
      if (type === 's') return pad(cut(str(value, budget), precision, budget), spec, budget);
      if (type === 'r' || type === 'a') return pad(cut(repr(value, budget), precision, budget), spec, budget);
      if (type === 'c') return pad(typeof value === 'number' ? characterOf(value) : str(value, budget), spec, budget);
      const kind = type === 'i' || type === 'u' ? 'd' : type;
      if (!'dxXoeEfFgG'.includes(kind) || kind === '')
        throw new TemplateFault(`unsupported format character '${type}'`);
      const number = numeric(value);
      if (number === undefined)
        throw new TemplateFault(`%${type} format: a real number is required, not ${typeName(value)}`);
      const whole = 'dxXo'.includes(kind) ? Math.trunc(number) : new Float(number);
      // In this style precision pads whole numbers with zeros.
      if (typeof whole === 'number' && precision !== undefined) {
        const digits = formatNumber(
          whole,
          { type: kind, sign, width: precision + Number(whole < 0), fill: '0', align: '=' },
          budget,
        );
        return pad(digits, spec, budget);
      }
      return formatNumber(whole, { ...spec, type: kind }, budget);
    }),
  );
  // What has items is taken for a dict, which need not be used up.
  const hasItems = Array.isArray(argument) || argument instanceof Undefined || argument instanceof Range;
  if (at < values.length && named === undefined && !hasItems)
    throw new TemplateFault('not all arguments converted during string formatting');
  return result;
}

function characterOf(code: number): string {
  if (!(code >= 0 && code <= 0x10ffff)) throw new TemplateFault('%c arg not in range(0x110000)');
  return String.fromCodePoint(code);
}

const missingKey = (name: string): never => {
  throw new TemplateFault(`KeyError: '${name}'`);
};

/** How `str.format` gets at parts of an argument. */
export interface FieldReader {
  attribute(of: Value, name: string): Value;
  item(of: Value, key: Value): Value;
}

/** Python's `format.format(...)`. */
export function formatBraces(
  format: string,
  positional: readonly Value[],
  named: ReadonlyMap<string, Value>,
  read: FieldReader,
  budget: Budget,
): string {
  let automatic = 0;
  const argument = (name: string): Value => {
    const index = name === '' ? automatic++ : /^\d+$/.test(name) ? Number(name) : undefined;
    const value = index === undefined ? named.get(name) : positional[index];
    if (value !== undefined) return value;
    throw new TemplateFault(
      index === undefined ? `KeyError: '${name}'` : `Replacement index ${index} out of range for positional args tuple`,
    );
  };
  const field = (text: string): Value => {
    if (text.length > MAX_FIELD) throw new TemplateFault(`a field of a format has more than ${MAX_FIELD} characters`);
    const [first] = /^[^.[]*/.exec(text)!;
    let value = argument(first);
    for (const [, attribute, key] of text.slice(first.length).matchAll(/\.([^.[]+)|\[([^\]]+)\]/g)) {
      if (attribute) value = read.attribute(value, attribute);
      else value = read.item(value, /^\d+$/.test(key) ? Number(key) : key);
    }
    return value;
  };
  const filled = filling(budget);
  const fill = (text: string): string =>
    text.replace(
      /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/g,
      filled((whole: string, name?: string, conversion?: string, spec?: string) => {
        // prettier-ignore
        if (whole === '{{' || whole === '}}') return whole[0];
        if (name === undefined) throw new TemplateFault(`Single '${whole}' encountered in format string`);
        const value = field(name);
        const shown = conversion === undefined ? value : conversion === 's' ? str(value, budget) : repr(value, budget);
        return formatValue(shown, spec?.includes('{') ? fill(spec) : (spec ?? ''), budget);
      }),
    );
  budget.text(format.length);
  budget.spend(STEPS_PER_PLACE * occurrences(format, '{', Infinity, budget).length);
  return fill(format);
}

const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u;

/** Python's `format(value, spec)`. */
function formatValue(value: Value, text: string, budget: Budget): string {
  if (text === '') return str(value, budget);
  const parts = SPEC.exec(text);
  if (!parts) throw new TemplateFault(`Invalid format specifier '${text}'`);
  const [, fill, align, sign, alternate, zero, width, grouping, precision, type] = parts as (string | undefined)[];
  const spec: Spec = {
    fill: fill ?? (zero ? '0' : ' '),
    align: align ?? (zero ? '=' : undefined),
    sign,
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
  const isNumber =
    typeof value === 'number' || value instanceof Float || (typeof value === 'boolean' && type !== undefined);
  if (isNumber) return formatNumber(typeof value === 'boolean' ? Number(value) : value, spec, budget);
  if (value instanceof Undefined || typeof value === 'string' || typeof value === 'boolean') {
    if (type !== undefined && type !== 's')
      throw new TemplateFault(`Unknown format code '${type}' for object of type 'str'`);
    return pad(cut(str(value, budget), spec.precision, budget), { ...spec, align: spec.align ?? '<' }, budget);
  }
  throw new TemplateFault(`unsupported format string passed to ${typeName(value)}.__format__`);
}

function formatNumber(value: number | Float, spec: Spec, budget: Budget): string {
  const number = typeof value === 'number' ? value : value.value;
  const isNegative = number < 0 || Object.is(number, -0);
  budget.text(spec.precision ?? 0);
  let digits = digitsOf(Math.abs(number), value instanceof Float, spec);
  if (spec.grouping) digits = digits.replace(/^\d+/, (whole) => whole.replace(/\B(?=(?:\d{3})+$)/g, spec.grouping!));
  const sign = isNegative ? '-' : spec.sign === '+' || spec.sign === ' ' ? spec.sign : '';
  if (spec.align === '=') {
    return sign + pad(digits, { ...spec, align: '>', width: Math.max(0, (spec.width ?? 0) - sign.length) }, budget);
  }
  return pad(sign + digits, { ...spec, align: spec.align ?? '>' }, budget);
}

function digitsOf(number: number, isFloat: boolean, { type, precision, alternate }: Spec): string {
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

const cut = (text: string, precision: number | undefined, budget: Budget): string =>
  precision === undefined ? text : substring(text, [0, Math.max(0, precision)], budget);

/** Fills a text up to a width; Python counts code points. */
export function pad(text: string, { fill = ' ', align = '>', width = 0 }: Spec, budget: Budget): string {
  budget.text(text.length);
  const missing = width - codePoints(text);
  if (missing <= 0) return text;
  if (codePoints(fill) !== 1) throw new TemplateFault('The fill character must be exactly one character long');
  budget.text(text.length + fill.length * missing);
  const before = align === '<' ? 0 : align === '^' ? Math.floor(missing / 2) : missing;
  return fill.repeat(before) + text + fill.repeat(missing - before);
}
