import type { Budget } from './budget.ts';
import type { Arguments, Value } from './python-values.ts';
import { TemplateFault } from './template-fault.ts';

/** The arguments of a call without any. */
export const NO_ARGUMENTS: Arguments = { positional: [], named: new Map() };

/**
 * Binds arguments to a function's parameters, as Python does.
 *
 * @param name The function, for messages.
 * @param given The arguments of the call.
 * @param parameters The names of the parameters.
 * @param required How many of the parameters need an argument. Default: none.
 * @returns the arguments in the order of the parameters; undefined for those not given.
 * @throws {TemplateFault} when the arguments do not fit the parameters.
 */
export function bindArguments(name: string, given: Arguments, parameters: readonly string[], required = 0) {
  const { positional, named } = given;
  if (positional.length > parameters.length) {
    const most = `${parameters.length} argument${parameters.length === 1 ? '' : 's'}`;
    throw new TemplateFault(`${name}() takes at most ${most} (${positional.length} given)`);
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

/** Spends the cost of reading the texts among the arguments. JavaScript copies a concatenated text when it is first read. */
export function spendOnTexts({ positional, named }: Arguments, budget: Budget): void {
  for (const value of positional) if (typeof value === 'string') budget.spendText(value.length);
  for (const value of named.values()) if (typeof value === 'string') budget.spendText(value.length);
}
