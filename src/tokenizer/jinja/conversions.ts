import { Dict, Float, Loop, Range, Tuple, typeName, Undefined, type Value, View } from './python-values.ts';
import { TemplateFault } from './template-fault.ts';

/** A value that was found, else another. `null` is a value here, so `??` would not do. */
export function orElse(found: Value | undefined, otherwise: () => Value): Value {
  return found === undefined ? otherwise() : found;
}

/** The number that a number or a bool stands for. */
export function toNumber(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : undefined;
}

/** A whole number, as Python wants it for indices and widths. */
export function requireInteger(value: Value | undefined, otherwise: number, what: string): number {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  throw new TemplateFault(`${what}: '${typeName(value)}' object cannot be interpreted as an integer`);
}

export function requireText(value: Value | undefined, what: string): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) value.fail();
  throw new TemplateFault(`${what}: expected a string, got ${value === undefined ? 'nothing' : typeName(value)}`);
}

export function isTruthy(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === 'string' || Array.isArray(value)) return value.length > 0;
  if (typeof value !== 'object') return Boolean(value);
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Range) return value.length > 0;
  if (value instanceof Tuple || value instanceof View || value instanceof Loop) return value.items.length > 0;
  return true;
}
