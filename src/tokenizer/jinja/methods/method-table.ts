import type { Budget } from '../budget.ts';
import { spendOnTexts } from '../call-arguments.ts';
import { type Arguments, Callable, type Value } from '../python-values.ts';

/** A method of a Python type. */
export type Method<T> = (self: T, args: Arguments, budget: Budget) => Value;

/** The methods of a Python type, by name. */
export type Methods<T> = Readonly<Record<string, Method<T>>>;

/** A method of a value, as a function; undefined when its type has none of that name. */
export function boundMethod<T>(methods: Methods<T>, self: T, name: string, budget: Budget): Value | undefined {
  if (!Object.hasOwn(methods, name)) return undefined;
  budget.spendObject();
  return new Callable(name, (args) => {
    if (typeof self === 'string') budget.spendText(self.length);
    spendOnTexts(args, budget);
    return methods[name](self, args, budget);
  });
}
