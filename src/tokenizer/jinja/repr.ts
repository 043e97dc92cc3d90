import { BoundedWriter } from './bounded-writer.ts';
import type { Budget } from './budget.ts';
import { replaceEach } from './piecewise.ts';
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
  View,
} from './python-values.ts';

/** Python's `str`: the text that a value prints as. */
export function str(value: Value, budget: Budget): string {
  if (typeof value === 'string') return value;
  return value instanceof Undefined ? '' : repr(value, budget);
}

/** Python's `repr`: the text that a value prints as within a list. */
export function repr(value: Value, budget: Budget): string {
  const writer = new BoundedWriter(budget);
  writeRepr(value, writer);
  return writer.text;
}

function writeRepr(value: Value, writer: BoundedWriter): void {
  const item = (inner: Value): void => {
    writeRepr(inner, writer);
  };
  const entry = ([key, inner]: [Value, Value]): void => {
    item(key);
    writer.add(': ');
    item(inner);
  };
  if (Array.isArray(value)) writer.list('[', value, ']', ', ', item);
  else if (value instanceof Tuple) writer.list('(', value.items, value.items.length === 1 ? ',)' : ')', ', ', item);
  else if (value instanceof Dict) writer.list('{', value.items(), '}', ', ', entry);
  else if (value instanceof View) writer.list(`${value.kind}([`, value.items, '])', ', ', item);
  else if (value instanceof Namespace) {
    writer.list('<Namespace {', value.attributes, '}>', ', ', entry);
  } else writer.add(reprOfOne(value, writer.budget));
}

function reprOfOne(value: Value, budget: Budget): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quote(value, budget);
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Range) {
    const { start, stop, step } = value;
    return `range(${start}, ${stop}${step === 1 ? '' : `, ${step}`})`;
  }
  if (value instanceof Loop) return `<LoopContext ${value.index0 + 1}/${value.items.length}>`;
  // Python prints a memory address here, which no working template does.
  return value instanceof Callable ? `<function ${value.name}>` : `<${typeName(value)} object>`;
}

/** Python's `repr` of a float: the shortest digits, with an exponent below 1e-4 and from 1e16. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const [digits, exponent] = value.toExponential().split('e');
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 16)) {
    return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  }
  const plain = power < 0 ? value.toFixed(digits.replace(/[-.]/g, '').length - 1 - power) : String(value);
  return plain.includes('.') ? plain : `${plain}.0`;
}

const NAMED_ESCAPES: Readonly<Partial<Record<string, string>>> = {
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** Python's `repr` of a string. */
function quote(text: string, budget: Budget): string {
  budget.spendText(text.length);
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const show = (character: string): string => {
    if (character === mark) return `\\${character}`;
    if (character === ' ' || character === "'" || character === '"') return character;
    const named = NAMED_ESCAPES[character];
    if (named !== undefined) return named;
    const code = character.codePointAt(0)!;
    const [letter, width] = code < 0x100 ? ['x', 2] : code < 0x10000 ? ['u', 4] : ['U', 8];
    return `\\${letter}${code.toString(16).padStart(width, '0')}`;
  };
  return mark + replaceEach(text, /[\\'"]|[\p{C}\p{Z}]/gu, show, budget) + mark;
}
