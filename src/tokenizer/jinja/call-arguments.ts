import type { Budget } from './budget.ts';
import type { Arguments, Value } from './python-values.ts';
import { TemplateFault } from './template-fault.ts';

export const NO_ARGUMENTS: Arguments = { positional: [], named: new Map() };

/**
 * Arguments in the order of the names of a function's parameters, as Python binds them.
 *
 * @param required How many of them must be given.
 */
export function bindArguments(name: string, { positional, named }: Arguments, parameters: readonly string[], required = 0) {
  if (positional.length > parameters.length) {
    const most = parameters.length;
    throw new TemplateFault(`${name}() takes at most ${most} argument${most === 1 ? '' : 's'} (${positional.length} given)`); // prettier-ignore
  }
  const bound: (Value | undefined)[] = [...positional];
  for (const [key, value] of named) {
    const at = parameters.indexOf(key);
    if (at < 0) throw new TemplateFault(`${name}() got an unexpected keyword argument '${key}'`);
    if (bound[at] !== undefined) throw new TemplateFault(`${name}() got multiple values for argument '${key}'`);
    bound[at] = value;
  }
  const missing = parameters.findIndex((_, i) => i < required && bound[i] === undefined);
  if (missing >= 0) throw new TemplateFault(`${name}() missing required argument '${parameters[missing]}'`);
  return bound;
}

/** What a function is given: texts are read, or made one where they were put together of parts. */
export function spendOnTexts({ positional, named }: Arguments, budget: Budget): void {
  for (const value of positional) if (typeof value === 'string') budget.spendText(value.length);
  for (const value of named.values()) if (typeof value === 'string') budget.spendText(value.length);
}
