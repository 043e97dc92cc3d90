import { Budget } from './budget.ts';
import { runFilter } from './filters.ts';
import { addMarkup, MAKES_MARKUP, Markup } from './markup.ts';
import { getAttribute, getItem } from './methods.ts';
import { arithmetic, signed } from './operators.ts';
import { str } from './print.ts';
import { slicePositions, substring } from './slices.ts';
import type { Body, CallArguments, Expression, FilterCall, MacroParts, Statement, Target } from './syntax.ts';
import { runTest } from './tests.ts';
import {
  type Arguments,
  bind,
  Callable,
  compare,
  contains,
  Dict,
  equal,
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
} from './values.ts';

/** The sandbox that transformers runs templates in has the same limit. */
const MAX_RANGE = 100_000;

/** Variables by name: those of a block, and behind them those around it. */
class Scope {
  private readonly variables = new Map<string, Value>();
  private readonly outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.outer = outer;
  }
  get(name: string): Value | undefined {
    return this.variables.has(name) ? this.variables.get(name) : this.outer?.get(name);
  }
  set(name: string, value: Value): void {
    this.variables.set(name, value);
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
  private readonly budget = new Budget();
  private output: string[] = [];
  private length = 0;
  /** Where the template is, for messages. */
  line = 1;

  /** The text of a template with the given variables. */
  render(body: Body, variables: Iterable<readonly [string, Value]>): string {
    const globals = new Scope();
    globals.set('range', new Callable('range', (args) => this.range(args)));
    globals.set('namespace', new Callable('namespace', (args) => new Namespace(this.fields(args))));
    globals.set('dict', new Callable('dict', (args) => new Dict(this.fields(args))));
    for (const [name, value] of variables) globals.set(name, value);
    return this.capture(() => this.run(body, new Scope(globals)));
  }

  private range({ positional }: Arguments): Range {
    const numbers = positional.map((value) => integer(value, NaN, 'range'));
    const [start, stop, step = 1] = numbers.length === 1 ? [0, numbers[0]] : numbers;
    if (numbers.length === 0 || numbers.length > 3 || step === 0 || numbers.some(Number.isNaN))
      throw new TemplateFault(`range(${numbers.join(', ')}) is not a range`);
    const range = new Range(start, stop, step);
    if (range.length > MAX_RANGE) throw new TemplateFault(`a range has more than ${MAX_RANGE} items in a list`);
    return range;
  }

  /** What `dict` and `namespace` take: a dict or pairs, and named values. */
  private fields({ positional, named }: Arguments): Map<string, Value> {
    const [given, ...more] = positional as (Value | undefined)[];
    if (more.length > 0) throw new TemplateFault(`expected at most 1 argument, got ${positional.length}`);
    const pairs: [Value, Value][] = given instanceof Dict ? given.items() : [];
    if (given !== undefined && !(given instanceof Dict)) {
      for (const pair of iterate(given, this.budget)) {
        const [key, value] = iterate(pair, this.budget);
        pairs.push([key, value]);
      }
    }
    return new Map([...pairs.map(([key, value]) => [text(key, 'dict'), value] as const), ...named]);
  }

  // Statements

  private write(piece: string): void {
    this.length += piece.length;
    this.budget.room(this.length);
    this.output.push(piece);
  }

  /** What is printed while `run` runs. */
  private capture(run: () => void): string {
    const [output, before] = [this.output, this.length];
    this.output = [];
    this.length = 0;
    try {
      run();
      return this.output.join('');
    } finally {
      this.output = output;
      this.length = before;
    }
  }

  private run(body: Body, scope: Scope): Ending {
    for (const statement of body) {
      const ending = this.execute(statement, scope);
      if (ending) return ending;
    }
    return undefined;
  }

  private execute(statement: Statement, scope: Scope): Ending {
    this.budget.spend(1);
    if (statement.type === 'text') {
      this.write(statement.text);
      return undefined;
    }
    this.line = statement.line;
    switch (statement.type) {
      case 'print':
        this.write(str(this.evaluate(statement.value, scope), this.budget));
        return undefined;
      case 'if':
        return this.run(truth(this.evaluate(statement.test, scope)) ? statement.body : statement.otherwise, scope);
      case 'for':
        this.loop(statement, this.evaluate(statement.items, scope), scope, 0);
        return undefined;
      case 'set':
        this.assign(statement.target, this.evaluate(statement.value, scope), scope);
        return undefined;
      case 'capture':
        this.assign(statement.target, this.filtered(statement, scope), scope);
        return undefined;
      case 'filter':
        this.write(str(this.filtered(statement, scope), this.budget));
        return undefined;
      case 'macro':
        scope.set(statement.name, this.macro(statement.name, statement.macro, scope));
        return undefined;
      case 'call': {
        const inner = new Scope(scope);
        const caller = this.macro('caller', statement.macro, scope);
        this.write(str(this.invoke(statement.call, inner, caller), this.budget));
        return undefined;
      }
      case 'with': {
        const inner = new Scope(scope);
        for (const [target, value] of statement.variables) this.assign(target, this.evaluate(value, scope), inner);
        return this.run(statement.body, inner);
      }
      default:
        return statement.type;
    }
  }

  private filtered({ filters, body }: { filters: readonly FilterCall[]; body: Body }, scope: Scope): Value {
    let value: Value = this.capture(() => this.run(body, new Scope(scope)));
    for (const filter of filters) value = this.filter(filter, value, scope);
    return value;
  }

  private loop(statement: Statement & { type: 'for' }, over: Value, scope: Scope, depth: number): void {
    const { target, condition, body } = statement;
    const kept = iterate(over, this.budget).filter((item) => {
      if (!condition) return true;
      const inner = new Scope(scope);
      this.assign(target, item, inner);
      return truth(this.evaluate(condition, inner));
    });
    const again = (items: Value): Value =>
      this.capture(() => {
        this.loop(statement, items, scope, depth + 1);
      });
    const loop = new Loop(kept, depth, statement.recursive ? again : undefined);
    for (const item of kept) {
      const inner = new Scope(scope);
      inner.set('loop', loop);
      this.assign(target, item, inner);
      if (this.run(body, inner) === 'break') break;
      loop.index0 += 1;
    }
    if (loop.index0 === 0 && kept.length === 0) this.run(statement.otherwise, new Scope(scope));
  }

  private assign(target: Target, value: Value, scope: Scope): void {
    switch (target.type) {
      case 'name':
        scope.set(target.name, value);
        return;
      case 'attribute': {
        const namespace = scope.get(target.of);
        if (!(namespace instanceof Namespace))
          throw new TemplateFault(`cannot assign attribute '${target.name}' of '${target.of}', which is no namespace`);
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
          this.assign(each, items[i], scope);
        });
      }
    }
  }

  /** A macro sees the variables around its definition; more arguments than it names are `varargs` and `kwargs`. */
  private macro(name: string, { parameters, body }: MacroParts, scope: Scope): Callable {
    const names = parameters.map((parameter) => parameter.name);
    return new Callable(name, ({ positional, named }) => {
      const own = new Map([...named].filter(([key]) => names.includes(key)));
      const bound = bind(name, { positional: positional.slice(0, names.length), named: own }, names);
      const inner = new Scope(scope);
      const others = [...named].filter(([key]) => !names.includes(key));
      inner.set('varargs', new Tuple(positional.slice(names.length)));
      inner.set('kwargs', new Dict(others.filter(([key]) => key !== 'caller')));
      inner.set(
        'caller',
        orElse(named.get('caller'), () => new Undefined('No caller defined')),
      );
      parameters.forEach(({ otherwise }, i) => {
        const fallback = (): Value =>
          otherwise ? this.evaluate(otherwise, inner) : new Undefined(`parameter '${names[i]}' was not provided`);
        inner.set(names[i], orElse(bound[i], fallback));
      });
      return this.capture(() => this.run(body, inner));
    });
  }

  // Expressions

  private evaluate(expression: Expression, scope: Scope): Value {
    const value = this.evaluateMarked(expression, scope);
    return value instanceof Markup ? value.text : value;
  }

  /**
   * A value, or a text that `safe` or `escape` made HTML: what is added to such a text is escaped, as in Python. Here it
   * remains HTML within an expression only.
   */
  private evaluateMarked(expression: Expression, scope: Scope): Value | Markup {
    this.budget.spend(1);
    if (expression.type === 'apply' && MAKES_MARKUP.has(expression.filter.name)) {
      const value = this.evaluateMarked(expression.value, scope);
      if (value instanceof Markup) return value;
      return new Markup(str(this.filter(expression.filter, value, scope), this.budget));
    }
    if (expression.type !== 'arithmetic') return this.evaluatePlain(expression, scope);
    const left = this.evaluateMarked(expression.left, scope);
    const right = this.evaluateMarked(expression.right, scope);
    const sum = expression.operator === '+' ? addMarkup(left, right, this.budget) : undefined;
    if (sum) return sum;
    const [a, b] = [left, right].map((side) => (side instanceof Markup ? side.text : side));
    return this.bounded(arithmetic(expression.operator, a, b, this.budget));
  }

  private evaluatePlain(expression: Exclude<Expression, { type: 'arithmetic' }>, scope: Scope): Value {
    switch (expression.type) {
      case 'constant':
        return expression.value;
      case 'name':
        return orElse(scope.get(expression.name), () => new Undefined(`'${expression.name}' is undefined`));
      case 'list':
        return expression.items.map((item) => this.evaluate(item, scope));
      case 'tuple':
        return new Tuple(expression.items.map((item) => this.evaluate(item, scope)));
      case 'dict':
        return new Dict(
          expression.entries.map(([key, value]) => [this.evaluate(key, scope), this.evaluate(value, scope)]),
        );
      case 'attribute':
        return getAttribute(this.evaluate(expression.of, scope), expression.name, this.budget);
      case 'item':
        return getItem(this.evaluate(expression.of, scope), this.evaluate(expression.key, scope), this.budget);
      case 'slice':
        return this.slice(this.evaluate(expression.of, scope), expression.bounds, scope);
      case 'invoke':
        return this.invoke(expression, scope);
      case 'apply':
        return this.filter(expression.filter, this.evaluate(expression.value, scope), scope);
      case 'test': {
        const { name, args } = expression.test;
        const value = this.evaluate(expression.value, scope);
        return runTest(name, value, this.arguments(args, scope).positional, this.budget);
      }
      case 'not':
        return !truth(this.evaluate(expression.value, scope));
      case 'sign':
        return signed(expression.sign, this.evaluate(expression.value, scope));
      case 'concat':
        return this.bounded(
          expression.parts.reduce((joined, part) => joined + str(this.evaluate(part, scope), this.budget), ''),
        );
      case 'compare':
        return this.comparison(expression, scope);
      case 'and': {
        const left = this.evaluate(expression.left, scope);
        return truth(left) ? this.evaluate(expression.right, scope) : left;
      }
      case 'or': {
        const left = this.evaluate(expression.left, scope);
        return truth(left) ? left : this.evaluate(expression.right, scope);
      }
      case 'choice':
        if (truth(this.evaluate(expression.test, scope))) return this.evaluate(expression.value, scope);
        if (expression.otherwise) return this.evaluate(expression.otherwise, scope);
        return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
    }
  }

  /** Joining texts costs nothing, but what is joined again and again grows. */
  private bounded(value: Value): Value {
    if (typeof value === 'string') this.budget.room(value.length);
    return value;
  }

  private slice(of: Value, bounds: readonly (Expression | undefined)[], scope: Scope): Value {
    if (of instanceof Undefined) of.fail();
    const numbers = bounds.map((bound) => {
      const value = bound ? this.evaluate(bound, scope) : null;
      return value === null ? undefined : integer(value, 0, 'slice');
    });
    if (typeof of === 'string') return substring(of, numbers, this.budget);
    const items = sequence(of);
    if (items === undefined) throw new TemplateFault(`'${typeName(of)}' object is not subscriptable`);
    this.budget.items(items.length);
    const { start, step, count } = slicePositions(items.length, numbers);
    const cut = Array.from({ length: count }, (_, i) => items[start + i * step]);
    return of instanceof Tuple ? new Tuple(cut) : cut;
  }

  private filter({ name, args }: FilterCall, value: Value, scope: Scope): Value {
    return runFilter(name, value, this.arguments(args, scope), this.budget);
  }

  private invoke(expression: Expression, scope: Scope, caller?: Callable): Value {
    if (expression.type !== 'invoke') return this.evaluate(expression, scope);
    const callee = this.evaluate(expression.callee, scope);
    const args = this.arguments(expression.args, scope);
    if (callee instanceof Undefined) callee.fail();
    if (callee instanceof Loop && callee.again && args.positional.length === 1) return callee.again(args.positional[0]);
    if (!(callee instanceof Callable)) throw new TemplateFault(`'${typeName(callee)}' object is not callable`);
    return callee.call(caller ? { ...args, named: new Map([...args.named, ['caller', caller]]) } : args);
  }

  private arguments({ positional, named, more, moreNamed }: CallArguments, scope: Scope): Arguments {
    const values = positional.map((value) => this.evaluate(value, scope));
    if (more) for (const value of iterate(this.evaluate(more, scope), this.budget)) values.push(value);
    const byName = new Map(named.map(([name, value]) => [name, this.evaluate(value, scope)]));
    if (moreNamed) {
      const dict = this.evaluate(moreNamed, scope);
      if (!(dict instanceof Dict))
        throw new TemplateFault(`argument after ** must be a mapping, not ${typeName(dict)}`);
      for (const [key, value] of dict.items()) byName.set(text(key, 'keywords must be strings'), value);
    }
    return { positional: values, named: byName };
  }

  /** `a < b < c` holds where each part does; parts behind one that does not are not looked at. */
  private comparison({ first, rest }: Expression & { type: 'compare' }, scope: Scope): boolean {
    let left = this.evaluate(first, scope);
    for (const { operator, value } of rest) {
      const right = this.evaluate(value, scope);
      for (const side of [left, right]) if (typeof side === 'string') this.budget.text(side.length);
      if (!this.holds(operator, left, right)) return false;
      left = right;
    }
    return true;
  }

  private holds(operator: string, left: Value, right: Value): boolean {
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
