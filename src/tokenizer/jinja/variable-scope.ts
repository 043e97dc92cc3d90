import { type Budget, LimitError } from './budget.ts';
import type { Value } from './python-values.ts';

/** Scopes within each other. A name is looked up in each of them. */
const MAX_DEPTH = 100;

/** The variables of a block, by name, and those of the blocks around it. */
export class Scope {
  readonly #variables = new Map<string, Value>();
  readonly #outer: Scope | undefined;
  /** How many scopes are around it. */
  readonly depth: number;

  constructor(outer: Scope | undefined, budget: Budget) {
    // Counted, because a macro keeps the scopes around it.
    budget.spendObject();
    this.#outer = outer;
    this.depth = outer ? outer.depth + 1 : 0;
    if (this.depth > MAX_DEPTH)
      throw new LimitError(`more than ${MAX_DEPTH} blocks within each other; use another template`);
  }
  get(name: string): Value | undefined {
    const value = this.#variables.get(name);
    return value === undefined ? this.#outer?.get(name) : value;
  }
  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}
