import type { Budget } from './budget.ts';
import { toNumber, orElse } from './value-conversions.ts';
import { truncate, spendOnReplacements, pad, STEPS_PER_PLACE } from './format-spec.ts';
import { formatNumber } from './number-format.ts';
import { Dict, Float, Range, Tuple, typeName, Undefined, type Value } from './python-values.ts';
import { repr, str } from './repr.ts';
import { occurrences } from './substring-search.ts';
import { TemplateFault } from './template-fault.ts';

/** The length of names is bounded, so that an unclosed `%(` is not searched to the end of the text. */
const PERCENT = /%(?:\(([^)]{0,100})\))?([-+ 0#]*)(\d+|\*)?(?:\.(\d+|\*))?[hlL]?([\s\S]?)/g;

/** Python's `format % argument`. A tuple gives the values in order, a dict by name; any other argument is the only value. */
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
    return text === '*' ? (toNumber(next()) ?? 0) : Number(text);
  };
  budget.spendText(format.length);
  budget.spend(STEPS_PER_PLACE * occurrences(format, '%', Infinity, budget).length);
  const fill = spendOnReplacements(budget);
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
      if (type === 's') return pad(truncate(str(value, budget), precision, budget), spec, budget);
      if (type === 'r' || type === 'a') return pad(truncate(repr(value, budget), precision, budget), spec, budget);
      if (type === 'c') return pad(typeof value === 'number' ? characterOf(value) : str(value, budget), spec, budget);
      const kind = type === 'i' || type === 'u' ? 'd' : type;
      if (!'dxXoeEfFgG'.includes(kind) || kind === '')
        throw new TemplateFault(`unsupported format character '${type}'`);
      const number = toNumber(value);
      if (number === undefined)
        throw new TemplateFault(`%${type} format: a real number is required, not ${typeName(value)}`);
      const whole = 'dxXo'.includes(kind) ? Math.trunc(number) : new Float(number);
      // With `%`, the precision of an integer is its least number of digits.
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
  // As in Python, an argument with items passes for a dict, of which not all need be used.
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
