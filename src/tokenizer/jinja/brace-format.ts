import type { Budget } from './budget.ts';
import { truncate, spendOnReplacements, pad, type FormatSpec, STEPS_PER_PLACE } from './format-spec.ts';
import { formatNumber } from './number-format.ts';
import { Float, typeName, Undefined, type Value } from './python-values.ts';
import { repr, str } from './repr.ts';
import { occurrences } from './substring-search.ts';
import { TemplateFault } from './template-fault.ts';

/** Characters of a field name: the text in `{}` that names an argument and its parts. */
const MAX_FIELD = 1000;

/** Gets the parts of an argument that a field name names. */
export interface FieldReader {
  attribute(of: Value, name: string): Value;
  item(of: Value, key: Value): Value;
}

/**
 * Python's `format.format(*positional, **named)`.
 *
 * @param read Gets attributes and items of arguments.
 * @throws {TemplateFault} when the format is malformed or names an argument that is missing.
 */
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
  const filled = spendOnReplacements(budget);
  const fill = (text: string): string =>
    text.replace(
      /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/g,
      filled((whole: string, name?: string, conversion?: string, spec?: string) => {
        if (whole === '{{' || whole === '}}') return whole[0];
        if (name === undefined) throw new TemplateFault(`Single '${whole}' encountered in format string`);
        const value = field(name);
        const shown = conversion === undefined ? value : conversion === 's' ? str(value, budget) : repr(value, budget);
        return formatValue(shown, spec?.includes('{') ? fill(spec) : (spec ?? ''), budget);
      }),
    );
  budget.spendText(format.length);
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
  const spec: FormatSpec = {
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
    return pad(truncate(str(value, budget), spec.precision, budget), { ...spec, align: spec.align ?? '<' }, budget);
  }
  throw new TemplateFault(`unsupported format string passed to ${typeName(value)}.__format__`);
}
