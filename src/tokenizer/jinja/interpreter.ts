import { Budget } from './budget.ts';
import { orElse, isTruthy } from './value-conversions.ts';
import { Evaluator } from './evaluator.ts';
import { globalFunctions } from './globals.ts';
import { iterate } from './iteration.ts';
import { Callable, Dict, Loop, Namespace, Tuple, Undefined, type Value } from './python-values.ts';
import { str } from './repr.ts';
import { Scope } from './variable-scope.ts';
import type { Body, FilterCall, Macro, Statement, Target } from './syntax-tree.ts';
import { TemplateFault } from './template-fault.ts';

/** Why a body was left before its end; undefined when it was not. */
type Ending = 'break' | 'continue' | undefined;

/**
 * Renders a parsed template as Jinja2 does in transformers' sandbox: with Python's values, operators and methods, without
 * changing the caller's values, and without access to anything but text.
 *
 * Source: Jinja2's `compiler.py`, `runtime.py` and `sandbox.py`.
 */
export class Interpreter {
  readonly budget = new Budget();
  readonly #evaluator = new Evaluator(this.budget);
  #output: string[] = [];
  #length = 0;
  /** The line of the statement that runs, for messages. */
  line = 1;

  /**
   * The text of a template with the given variables.
   *
   * @throws {TemplateFault} when the template does what Jinja2 raises an error for.
   * @throws {LimitError} when the template goes beyond the budget.
   */
  render(body: Body, variables: Iterable<readonly [string, Value]>): string {
    const globals = new Scope(undefined, this.budget);
    for (const each of globalFunctions(this.budget)) globals.set(each.name, each);
    for (const [name, value] of variables) globals.set(name, value);
    return this.#capture(() => this.#run(body, new Scope(globals, this.budget)));
  }

  #write(piece: string): void {
    this.#length += piece.length;
    this.budget.checkLength(this.#length);
    // The pieces are copied once, when they are joined.
    this.budget.spendText(piece.length);
    this.#output.push(piece);
  }

  /** The text that `run` prints. */
  #capture(run: () => void): string {
    const [output, before] = [this.#output, this.#length];
    this.#output = [];
    this.#length = 0;
    try {
      run();
      return this.#output.join('');
    } finally {
      this.#output = output;
      this.#length = before;
    }
  }

  #run(body: Body, scope: Scope): Ending {
    for (const statement of body) {
      const ending = this.#execute(statement, scope);
      if (ending) return ending;
    }
    return undefined;
  }

  #execute(statement: Statement, scope: Scope): Ending {
    this.budget.spend(1);
    if (statement.type === 'text') {
      this.#write(statement.text);
      return undefined;
    }
    this.line = statement.line;
    switch (statement.type) {
      case 'print':
        this.#write(str(this.#evaluator.evaluate(statement.value, scope), this.budget));
        return undefined;
      case 'if':
        return this.#run(
          isTruthy(this.#evaluator.evaluate(statement.test, scope)) ? statement.body : statement.otherwise,
          scope,
        );
      case 'for':
        this.#loop(statement, this.#evaluator.evaluate(statement.items, scope), scope, 0);
        return undefined;
      case 'set':
        this.#assign(statement.target, this.#evaluator.evaluate(statement.value, scope), scope);
        return undefined;
      case 'capture':
        this.#assign(statement.target, this.#filtered(statement, scope), scope);
        return undefined;
      case 'filter':
        this.#write(str(this.#filtered(statement, scope), this.budget));
        return undefined;
      case 'macro':
        scope.set(statement.name, this.#macro(statement.name, statement.macro, scope));
        return undefined;
      case 'call': {
        const inner = new Scope(scope, this.budget);
        const caller = this.#macro('caller', statement.macro, scope);
        this.#write(str(this.#evaluator.invoke(statement.call, inner, caller), this.budget));
        return undefined;
      }
      case 'with': {
        const inner = new Scope(scope, this.budget);
        for (const [target, value] of statement.variables)
          this.#assign(target, this.#evaluator.evaluate(value, scope), inner);
        return this.#run(statement.body, inner);
      }
      default:
        return statement.type;
    }
  }

  #filtered({ filters, body }: { filters: readonly FilterCall[]; body: Body }, scope: Scope): Value {
    let value: Value = this.#capture(() => this.#run(body, new Scope(scope, this.budget)));
    for (const filter of filters) value = this.#evaluator.applyFilter(filter, value, scope);
    return value;
  }

  #loop(statement: Statement & { type: 'for' }, over: Value, scope: Scope, depth: number): void {
    const { target, condition, body } = statement;
    const kept = iterate(over, this.budget).filter((item) => {
      if (!condition) return true;
      const inner = new Scope(scope, this.budget);
      this.#assign(target, item, inner);
      return isTruthy(this.#evaluator.evaluate(condition, inner));
    });
    const again = (items: Value): Value =>
      this.#capture(() => {
        this.#loop(statement, items, scope, depth + 1);
      });
    this.budget.spendObject(1);
    const loop = new Loop(kept, depth, statement.recursive ? again : undefined);
    for (const item of kept) {
      const inner = new Scope(scope, this.budget);
      inner.set('loop', loop);
      this.#assign(target, item, inner);
      if (this.#run(body, inner) === 'break') break;
      loop.index0 += 1;
    }
    if (loop.index0 === 0 && kept.length === 0) this.#run(statement.otherwise, new Scope(scope, this.budget));
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    switch (target.type) {
      case 'name':
        scope.set(target.name, value);
        return;
      case 'attribute': {
        const namespace = scope.get(target.of);
        if (!(namespace instanceof Namespace))
          throw new TemplateFault(`cannot assign attribute '${target.name}' of '${target.of}', which is no namespace`);
        this.budget.spendObject();
        namespace.attributes.set(target.name, value);
        return;
      }
      case 'targets': {
        const items = iterate(value, this.budget);
        const wanted = target.targets.length;
        if (items.length > wanted) throw new TemplateFault(`too many values to unpack (expected ${wanted})`);
        if (items.length < wanted)
          throw new TemplateFault(`not enough values to unpack (expected ${wanted}, got ${items.length})`);
        target.targets.forEach((each, i) => {
          this.#assign(each, items[i], scope);
        });
      }
    }
  }

  /** A macro as a function. It sees the variables around its definition; surplus arguments are `varargs` and `kwargs`. */
  #macro(name: string, { parameters, body }: Macro, scope: Scope): Callable {
    this.budget.spendObject(parameters.length);
    const names = new Set(parameters.map((parameter) => parameter.name));
    return new Callable(name, ({ positional, named }) => {
      this.budget.spendObject(parameters.length + positional.length + named.size);
      const inner = new Scope(scope, this.budget);
      const others = [...named].filter(([key]) => !names.has(key));
      inner.set('varargs', new Tuple(positional.slice(parameters.length)));
      inner.set('kwargs', new Dict(others.filter(([key]) => key !== 'caller')));
      inner.set(
        'caller',
        orElse(named.get('caller'), () => new Undefined('No caller defined')),
      );
      parameters.forEach((parameter, i) => {
        const byPlace = i < positional.length ? positional[i] : undefined;
        const byName = named.get(parameter.name);
        if (byPlace !== undefined && byName !== undefined)
          throw new TemplateFault(`${name}() got multiple values for argument '${parameter.name}'`);
        const fallback = (): Value =>
          parameter.otherwise
            ? this.#evaluator.evaluate(parameter.otherwise, inner)
            : new Undefined(`parameter '${parameter.name}' was not provided`);
        inner.set(parameter.name, byPlace !== undefined ? byPlace : orElse(byName, fallback));
      });
      return this.#capture(() => this.#run(body, inner));
    });
  }
}
