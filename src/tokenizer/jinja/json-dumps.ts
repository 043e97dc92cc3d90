import { BoundedWriter } from './bounded-writer.ts';
import type { Budget } from './budget.ts';
import { compare } from './value-comparison.ts';
import { inPieces, replaceEach } from './piecewise.ts';
import { Dict, Float, Tuple, typeName, type Value } from './python-values.ts';
import { floatText } from './repr.ts';
import { TemplateFault } from './template-fault.ts';

/** The arguments of `json.dumps`. */
interface JsonOptions {
  readonly indent?: string | undefined;
  readonly ensureAscii?: boolean;
  readonly sortKeys?: boolean;
  readonly separators?: readonly [string, string] | undefined;
}

/** Python's `json.dumps`. @throws {TemplateFault} when a value has no JSON. */
export function jsonDumps(value: Value, options: JsonOptions, budget: Budget): string {
  const writer = new BoundedWriter(budget);
  writeJson(value, options, '\n', writer);
  return writer.text;
}

function writeJson(value: Value, options: JsonOptions, lineEnd: string, writer: BoundedWriter): void {
  const { indent, ensureAscii = false, sortKeys = false } = options;
  const [comma, colon] = options.separators ?? [indent === undefined ? ', ' : ',', ': '];
  const inner = indent === undefined ? '' : lineEnd + indent;
  const string = (text: string): string => {
    const quoted = inPieces(text, writer.budget, (piece) => JSON.stringify(piece).slice(1, -1));
    return `"${ensureAscii ? replaceEach(quoted, /[^\0-\x7f]/g, escapeUnit, writer.budget) : quoted}"`;
  };
  const container = <T>(open: string, items: readonly T[], close: string, write: (item: T) => void): void => {
    const isEmpty = items.length === 0;
    const before = isEmpty ? '' : inner;
    const after = isEmpty || indent === undefined ? '' : lineEnd;
    writer.list(open + before, items, after + close, comma + inner, write);
  };
  if (typeof value === 'string') writer.add(string(value));
  else if (value === null) writer.add('null');
  else if (typeof value === 'boolean' || typeof value === 'number') writer.add(String(value));
  else if (value instanceof Float) writer.add(jsonFloat(value.value));
  else if (Array.isArray(value) || value instanceof Tuple) {
    container('[', value instanceof Tuple ? value.items : value, ']', (item) => {
      writeJson(item, options, inner, writer);
    });
  } else if (value instanceof Dict) {
    writer.budget.spendObject(value.size);
    const entries = Array.from(value.items(), ([key, item]) => [jsonKey(key), item] as const);
    if (sortKeys) entries.sort(([a], [b]) => compare(a, b, '<', writer.budget));
    container('{', entries, '}', ([key, item]) => {
      writer.add(string(key) + colon);
      writeJson(item, options, inner, writer);
    });
  } else throw new TemplateFault(`Object of type ${typeName(value)} is not JSON serializable`);
}

function jsonKey(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null) return 'null';
  if (typeof key === 'boolean' || typeof key === 'number') return String(key);
  if (key instanceof Float) return jsonFloat(key.value);
  throw new TemplateFault(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function jsonFloat(value: number): string {
  if (Number.isFinite(value)) return floatText(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
