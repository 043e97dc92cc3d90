import { Dict, Float, Loop, Range, Tuple, typeName, Undefined, type Value, View } from './python-values.ts';
import { TemplateFault } from './template-fault.ts';

/** The found value, or another if it is undefined. Unlike `??`, keeps null, which is Python's None. */
export function orElse(found: Value | undefined, otherwise: () => Value): Value {
  return found === undefined ? otherwise() : found;
}

/** The number of an int, float or bool; undefined for other values. */
export function toNumber(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : undefined;
}

/**
 * An integer argument, such as an index or a width.
 *
 * @param otherwise The result for None or an argument that is not given.
 * @param what The function, for the message.
 * @throws {TemplateFault} when it is neither an int nor a bool.
 */
export function requireInteger(value: Value | undefined, otherwise: number, what: string): number {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === 'number' || typeof value === 'boolean') return Number(value);
  throw new TemplateFault(`${what}: '${typeName(value)}' object cannot be interpreted as an integer`);
}

/**
 * A string argument.
 *
 * @param what The function, for the message.
 * @throws {TemplateFault} when it is no string.
 */
export function requireText(value: Value | undefined, what: string): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) value.fail();
  throw new TemplateFault(`${what}: expected a string, got ${value === undefined ? 'nothing' : typeName(value)}`);
}

/** Python's `bool`. */
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
