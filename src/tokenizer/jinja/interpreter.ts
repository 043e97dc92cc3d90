import { Budget, LimitError } from './budget.ts';
import { compare, contains, equal } from './comparison.ts';
import { runFilter } from './filters.ts';
import { addMarkup, MAKES_MARKUP, Markup } from './markup.ts';
import { getAttribute, getItem } from './methods.ts';
import { arithmetic, signed } from './arithmetic.ts';
import { str } from './print.ts';
import { slicePositions, substring } from './slices.ts';
import type { Body, CallArguments, Expression, FilterCall, MacroParts, Statement, Target } from './syntax-tree.ts';
import { runTest } from './jinja-tests.ts';
import {
  type Arguments,
  Callable,
  Dict,
  integer,
  iterate,
  Loop,
  Namespace,
  orElse,
  Range,
  sequence,
  TemplateFault,
  text,
  truth,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './python-values.ts';

/** The sandbox that transformers runs templates in has the same limit. */
const MAX_RANGE = 100_000;
/** Of blocks that have variables of their own. A name is looked for in each of them. */
const MAX_DEPTH = 100;

/** Variables by name: those of a block, and behind them those around it. */
class Scope {
  readonly #variables = new Map<string, Value>();
  readonly #outer: Scope | undefined;
  /** How many scopes are around it. */
  readonly depth: number;

  constructor(outer: Scope | undefined, budget: Budget) {
    // A macro keeps the scopes around it for as long as it lives.
    budget.object();
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

/** How a body ended. */
type Ending = 'break' | 'continue' | undefined;

/**
 * Runs a parsed template as Jinja2 does in transformers' sandbox: Python's values, operators and methods, nothing that
 * changes what the caller gave, and no way to anything but text.
 *
 * Source: Jinja2's `compiler.py`, `runtime.py` and `sandbox.py`.
 */
export class Interpreter {
  readonly budget = new Budget();
  #output: string[] = [];
  #length = 0;
  /** Where the template is, for messages. */
  line = 1;

  /** The text of a template with the given variables. */
  render(body: Body, variables: Iterable<readonly [string, Value]>): string {
    const globals = new Scope(undefined, this.budget);
    globals.set('range', new Callable('range', (args) => this.#range(args)));
    globals.set('namespace', new Callable('namespace', (args) => new Namespace(this.#fields(args))));
    globals.set('dict', new Callable('dict', (args) => new Dict(this.#fields(args))));
    for (const [name, value] of variables) globals.set(name, value);
    return this.#capture(() => this.#run(body, new Scope(globals, this.budget)));
  }

  #range({ positional }: Arguments): Range {
    const numbers = positional.map((value) => integer(value, NaN, 'range'));
    const [start, stop, step = 1] = numbers.length === 1 ? [0, numbers[0]] : numbers;
    if (numbers.length === 0 || numbers.length > 3 || step === 0 || numbers.some(Number.isNaN))
      throw new TemplateFault(`range(${numbers.join(', ')}) is not a range`);
    const range = new Range(start, stop, step);
    if (range.length > MAX_RANGE) throw new TemplateFault(`a range has more than ${MAX_RANGE} items in a list`);
    return range;
  }

  /** What `dict` and `namespace` take: a dict or pairs, and named values. */
  #fields({ positional, named }: Arguments): Map<string, Value> {
    const [given, ...more] = positional as (Value | undefined)[];
    if (more.length > 0) throw new TemplateFault(`expected at most 1 argument, got ${positional.length}`);
    const fields = new Map<string, Value>();
    if (given instanceof Dict) {
      this.budget.object(given.size);
      for (const [key, value] of given.items()) fields.set(text(key, 'dict'), value);
    } else if (given !== undefined) {
      for (const pair of iterate(given, this.budget)) {
        const [key, value] = iterate(pair, this.budget);
        this.budget.object(1);
        fields.set(text(key, 'dict'), value);
      }
    }
    this.budget.object(named.size);
    for (const [name, value] of named) fields.set(name, value);
    return fields;
  }

  // Statements

  #write(piece: string): void {
    this.#length += piece.length;
    this.budget.room(this.#length);
    // It is copied once, when what was printed becomes a text.
    this.budget.text(piece.length);
    this.#output.push(piece);
  }

  /** What is printed while `run` runs. */
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
        this.#write(str(this.#evaluate(statement.value, scope), this.budget));
        return undefined;
      case 'if':
        return this.#run(truth(this.#evaluate(statement.test, scope)) ? statement.body : statement.otherwise, scope);
      case 'for':
        this.#loop(statement, this.#evaluate(statement.items, scope), scope, 0);
        return undefined;
      case 'set':
        this.#assign(statement.target, this.#evaluate(statement.value, scope), scope);
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
        this.#write(str(this.#invoke(statement.call, inner, caller), this.budget));
        return undefined;
      }
      case 'with': {
        const inner = new Scope(scope, this.budget);
        for (const [target, value] of statement.variables) this.#assign(target, this.#evaluate(value, scope), inner);
        return this.#run(statement.body, inner);
      }
      default:
        return statement.type;
    }
  }

  #filtered({ filters, body }: { filters: readonly FilterCall[]; body: Body }, scope: Scope): Value {
    let value: Value = this.#capture(() => this.#run(body, new Scope(scope, this.budget)));
    for (const filter of filters) value = this.#filter(filter, value, scope);
    return value;
  }

  #loop(statement: Statement & { type: 'for' }, over: Value, scope: Scope, depth: number): void {
    const { target, condition, body } = statement;
    const kept = iterate(over, this.budget).filter((item) => {
      if (!condition) return true;
      const inner = new Scope(scope, this.budget);
      this.#assign(target, item, inner);
      return truth(this.#evaluate(condition, inner));
    });
    const again = (items: Value): Value =>
      this.#capture(() => {
        this.#loop(statement, items, scope, depth + 1);
      });
    this.budget.object(1);
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
        this.budget.object();
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

  /** A macro sees the variables around its definition; more arguments than it names are `varargs` and `kwargs`. */
  #macro(name: string, { parameters, body }: MacroParts, scope: Scope): Callable {
    this.budget.object(parameters.length);
    const names = new Set(parameters.map((parameter) => parameter.name));
    return new Callable(name, ({ positional, named }) => {
      this.budget.object(parameters.length + positional.length + named.size);
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
            ? this.#evaluate(parameter.otherwise, inner)
            : new Undefined(`parameter '${parameter.name}' was not provided`);
        inner.set(parameter.name, byPlace !== undefined ? byPlace : orElse(byName, fallback));
      });
      return this.#capture(() => this.#run(body, inner));
    });
  }

  // Expressions

  #evaluate(expression: Expression, scope: Scope): Value {
    const value = this.#evaluateMarked(expression, scope);
    return value instanceof Markup ? value.text : value;
  }

  /**
   * A value, or a text that `safe` or `escape` made HTML: what is added to such a text is escaped, as in Python. Here it
   * remains HTML within an expression only.
   */
  #evaluateMarked(expression: Expression, scope: Scope): Value | Markup {
    this.budget.spend(1);
    if (expression.type === 'apply' && MAKES_MARKUP.has(expression.filter.name)) {
      const value = this.#evaluateMarked(expression.value, scope);
      if (value instanceof Markup) return value;
      return new Markup(str(this.#filter(expression.filter, value, scope), this.budget));
    }
    if (expression.type !== 'arithmetic') return this.#evaluatePlain(expression, scope);
    const left = this.#evaluateMarked(expression.left, scope);
    const right = this.#evaluateMarked(expression.right, scope);
    const sum = expression.operator === '+' ? addMarkup(left, right, this.budget) : undefined;
    if (sum) return sum;
    const [a, b] = [left, right].map((side) => (side instanceof Markup ? side.text : side));
    return arithmetic(expression.operator, a, b, this.budget);
  }

  #evaluatePlain(expression: Exclude<Expression, { type: 'arithmetic' }>, scope: Scope): Value {
    switch (expression.type) {
      case 'constant':
        return expression.value;
      case 'name':
        return orElse(scope.get(expression.name), () => {
          this.budget.object();
          return new Undefined(`'${expression.name}' is undefined`);
        });
      case 'list':
        this.budget.items(expression.items.length);
        return expression.items.map((item) => this.#evaluate(item, scope));
      case 'tuple':
        this.budget.items(expression.items.length);
        return new Tuple(expression.items.map((item) => this.#evaluate(item, scope)));
      case 'dict': {
        this.budget.object();
        const dict = new Dict();
        for (const [key, value] of expression.entries)
          dict.set(this.#evaluate(key, scope), this.#evaluate(value, scope), this.budget);
        return dict;
      }
      case 'attribute':
        return getAttribute(this.#evaluate(expression.of, scope), expression.name, this.budget);
      case 'item':
        return getItem(this.#evaluate(expression.of, scope), this.#evaluate(expression.key, scope), this.budget);
      case 'slice':
        return this.#slice(this.#evaluate(expression.of, scope), expression.bounds, scope);
      case 'invoke':
        return this.#invoke(expression, scope);
      case 'apply':
        return this.#filter(expression.filter, this.#evaluate(expression.value, scope), scope);
      case 'test': {
        const { name, args } = expression.test;
        const value = this.#evaluate(expression.value, scope);
        return runTest(name, value, this.#arguments(args, scope).positional, this.budget);
      }
      case 'not':
        return !truth(this.#evaluate(expression.value, scope));
      case 'sign':
        return signed(expression.sign, this.#evaluate(expression.value, scope));
      case 'concat':
        return expression.parts.reduce((joined, part) => {
          const piece = str(this.#evaluate(part, scope), this.budget);
          this.budget.room(joined.length + piece.length);
          return joined + piece;
        }, '');
      case 'compare':
        return this.#comparison(expression, scope);
      case 'and': {
        const left = this.#evaluate(expression.left, scope);
        return truth(left) ? this.#evaluate(expression.right, scope) : left;
      }
      case 'or': {
        const left = this.#evaluate(expression.left, scope);
        return truth(left) ? left : this.#evaluate(expression.right, scope);
      }
      case 'choice':
        if (truth(this.#evaluate(expression.test, scope))) return this.#evaluate(expression.value, scope);
        if (expression.otherwise) return this.#evaluate(expression.otherwise, scope);
        return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
    }
  }

  #slice(of: Value, bounds: readonly (Expression | undefined)[], scope: Scope): Value {
    if (of instanceof Undefined) of.fail();
    const numbers = bounds.map((bound) => {
      const value = bound ? this.#evaluate(bound, scope) : null;
      return value === null ? undefined : integer(value, 0, 'slice');
    });
    if (typeof of === 'string') return substring(of, numbers, this.budget);
    const items = sequence(of, this.budget);
    if (items === undefined) throw new TemplateFault(`'${typeName(of)}' object is not subscriptable`);
    const { start, step, count } = slicePositions(items.length, numbers);
    this.budget.items(count);
    const cut = Array.from({ length: count }, (_, i) => items[start + i * step]);
    return of instanceof Tuple ? new Tuple(cut) : cut;
  }

  #filter({ name, args }: FilterCall, value: Value, scope: Scope): Value {
    return runFilter(name, value, this.#arguments(args, scope), this.budget);
  }

  #invoke(expression: Expression, scope: Scope, caller?: Callable): Value {
    if (expression.type !== 'invoke') return this.#evaluate(expression, scope);
    const callee = this.#evaluate(expression.callee, scope);
    const args = this.#arguments(expression.args, scope);
    if (callee instanceof Undefined) callee.fail();
    if (callee instanceof Loop && callee.again && args.positional.length === 1) return callee.again(args.positional[0]);
    if (!(callee instanceof Callable)) throw new TemplateFault(`'${typeName(callee)}' object is not callable`);
    if (!caller) return callee.call(args);
    this.budget.object(args.named.size + 1);
    return callee.call({ ...args, named: new Map([...args.named, ['caller', caller]]) });
  }

  #arguments({ positional, named, more, moreNamed }: CallArguments, scope: Scope): Arguments {
    const values = positional.map((value) => this.#evaluate(value, scope));
    if (more) for (const value of iterate(this.#evaluate(more, scope), this.budget)) values.push(value);
    const byName = new Map(named.map(([name, value]) => [name, this.#evaluate(value, scope)]));
    if (moreNamed) {
      const dict = this.#evaluate(moreNamed, scope);
      if (!(dict instanceof Dict))
        throw new TemplateFault(`argument after ** must be a mapping, not ${typeName(dict)}`);
      this.budget.object(dict.size);
      for (const [key, value] of dict.items()) byName.set(text(key, 'keywords must be strings'), value);
    }
    return { positional: values, named: byName };
  }

  /** `a < b < c` holds where each part does; parts behind one that does not are not looked at. */
  #comparison({ first, rest }: Expression & { type: 'compare' }, scope: Scope): boolean {
    let left = this.#evaluate(first, scope);
    for (const { operator, value } of rest) {
      const right = this.#evaluate(value, scope);
      if (!this.#holds(operator, left, right)) return false;
      left = right;
    }
    return true;
  }

  #holds(operator: string, left: Value, right: Value): boolean {
    switch (operator) {
      case '==':
        return equal(left, right, this.budget);
      case '!=':
        return !equal(left, right, this.budget);
      case 'in':
        return contains(right, left, this.budget);
      case 'not in':
        return !contains(right, left, this.budget);
      default: {
        const order = compare(left, right, operator, this.budget);
        return operator === '<'
          ? order < 0
          : operator === '<='
            ? order <= 0
            : operator === '>'
              ? order > 0
              : order >= 0;
      }
    }
  }
}
