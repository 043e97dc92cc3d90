import { arithmetic, applySign } from './arithmetic.ts';
import type { Budget } from './budget.ts';
import { compare, contains, equal } from './value-comparison.ts';
import { requireInteger, orElse, requireText, isTruthy } from './value-conversions.ts';
import { runFilter } from './filters/run-filter.ts';
import { iterate, orderedItems } from './iteration.ts';
import { runTest } from './jinja-tests.ts';
import { addMarkup, MAKES_MARKUP, Markup } from './markup.ts';
import { getAttribute, getItem } from './methods/attributes.ts';
import { type Arguments, Callable, Dict, Loop, Tuple, typeName, Undefined, type Value } from './python-values.ts';
import { str } from './repr.ts';
import type { Scope } from './variable-scope.ts';
import { slicePositions, substring } from './slices.ts';
import type { CallArguments, Expression, FilterCall } from './syntax-tree.ts';
import { TemplateFault } from './template-fault.ts';

/** Evaluates the expressions of a template with Python's semantics. Each evaluation spends a step of the budget. */
export class Evaluator {
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** The value of an expression. */
  evaluate(expression: Expression, scope: Scope): Value {
    const value = this.#evaluateMarked(expression, scope);
    return value instanceof Markup ? value.text : value;
  }

  /**
   * The value of an expression, with text that `safe` or `escape` marked as HTML. As in Python, text that is added to it is
   * escaped; unlike there, the mark is lost at the end of the expression.
   */
  #evaluateMarked(expression: Expression, scope: Scope): Value | Markup {
    this.#budget.spend(1);
    if (expression.type === 'apply' && MAKES_MARKUP.has(expression.filter.name)) {
      const value = this.#evaluateMarked(expression.value, scope);
      if (value instanceof Markup) return value;
      return new Markup(str(this.applyFilter(expression.filter, value, scope), this.#budget));
    }
    if (expression.type !== 'arithmetic') return this.#evaluatePlain(expression, scope);
    const left = this.#evaluateMarked(expression.left, scope);
    const right = this.#evaluateMarked(expression.right, scope);
    const sum = expression.operator === '+' ? addMarkup(left, right, this.#budget) : undefined;
    if (sum) return sum;
    const [a, b] = [left, right].map((side) => (side instanceof Markup ? side.text : side));
    return arithmetic(expression.operator, a, b, this.#budget);
  }

  #evaluatePlain(expression: Exclude<Expression, { type: 'arithmetic' }>, scope: Scope): Value {
    switch (expression.type) {
      case 'constant':
        return expression.value;
      case 'name':
        return orElse(scope.get(expression.name), () => {
          this.#budget.spendObject();
          return new Undefined(`'${expression.name}' is undefined`);
        });
      case 'list':
        this.#budget.spendItems(expression.items.length);
        return expression.items.map((item) => this.evaluate(item, scope));
      case 'tuple':
        this.#budget.spendItems(expression.items.length);
        return new Tuple(expression.items.map((item) => this.evaluate(item, scope)));
      case 'dict': {
        this.#budget.spendObject();
        const dict = new Dict();
        for (const [key, value] of expression.entries)
          dict.set(this.evaluate(key, scope), this.evaluate(value, scope), this.#budget);
        return dict;
      }
      case 'attribute':
        return getAttribute(this.evaluate(expression.of, scope), expression.name, this.#budget);
      case 'item':
        return getItem(this.evaluate(expression.of, scope), this.evaluate(expression.key, scope), this.#budget);
      case 'slice':
        return this.#slice(this.evaluate(expression.of, scope), expression.bounds, scope);
      case 'invoke':
        return this.invoke(expression, scope);
      case 'apply':
        return this.applyFilter(expression.filter, this.evaluate(expression.value, scope), scope);
      case 'test': {
        const { name, args } = expression.test;
        const value = this.evaluate(expression.value, scope);
        return runTest(name, value, this.#arguments(args, scope).positional, this.#budget);
      }
      case 'not':
        return !isTruthy(this.evaluate(expression.value, scope));
      case 'sign':
        return applySign(expression.sign, this.evaluate(expression.value, scope));
      case 'concat':
        return expression.parts.reduce((joined, part) => {
          const piece = str(this.evaluate(part, scope), this.#budget);
          this.#budget.checkLength(joined.length + piece.length);
          return joined + piece;
        }, '');
      case 'compare':
        return this.#comparison(expression, scope);
      case 'and': {
        const left = this.evaluate(expression.left, scope);
        return isTruthy(left) ? this.evaluate(expression.right, scope) : left;
      }
      case 'or': {
        const left = this.evaluate(expression.left, scope);
        return isTruthy(left) ? left : this.evaluate(expression.right, scope);
      }
      case 'choice':
        if (isTruthy(this.evaluate(expression.test, scope))) return this.evaluate(expression.value, scope);
        if (expression.otherwise) return this.evaluate(expression.otherwise, scope);
        return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
    }
  }

  #slice(of: Value, bounds: readonly (Expression | undefined)[], scope: Scope): Value {
    if (of instanceof Undefined) of.fail();
    const numbers = bounds.map((bound) => {
      const value = bound ? this.evaluate(bound, scope) : null;
      return value === null ? undefined : requireInteger(value, 0, 'slice');
    });
    if (typeof of === 'string') return substring(of, numbers, this.#budget);
    const items = orderedItems(of, this.#budget);
    if (items === undefined) throw new TemplateFault(`'${typeName(of)}' object is not subscriptable`);
    const { start, step, count } = slicePositions(items.length, numbers);
    this.#budget.spendItems(count);
    const cut = Array.from({ length: count }, (_, i) => items[start + i * step]);
    return of instanceof Tuple ? new Tuple(cut) : cut;
  }

  /** The value of `value | filter`. */
  applyFilter({ name, args }: FilterCall, value: Value, scope: Scope): Value {
    return runFilter(name, value, this.#arguments(args, scope), this.#budget);
  }

  /** The value of a call. @param caller The macro of a `call` block, which the callee gets as `caller`. */
  invoke(expression: Expression, scope: Scope, caller?: Callable): Value {
    if (expression.type !== 'invoke') return this.evaluate(expression, scope);
    const callee = this.evaluate(expression.callee, scope);
    const args = this.#arguments(expression.args, scope);
    if (callee instanceof Undefined) callee.fail();
    if (callee instanceof Loop && callee.recurse && args.positional.length === 1)
      return callee.recurse(args.positional[0]);
    if (!(callee instanceof Callable)) throw new TemplateFault(`'${typeName(callee)}' object is not callable`);
    if (!caller) return callee.call(args);
    this.#budget.spendObject(args.named.size + 1);
    return callee.call({ ...args, named: new Map([...args.named, ['caller', caller]]) });
  }

  #arguments({ positional, named, more, moreNamed }: CallArguments, scope: Scope): Arguments {
    const values = positional.map((value) => this.evaluate(value, scope));
    if (more) for (const value of iterate(this.evaluate(more, scope), this.#budget)) values.push(value);
    const byName = new Map(named.map(([name, value]) => [name, this.evaluate(value, scope)]));
    if (moreNamed) {
      const dict = this.evaluate(moreNamed, scope);
      if (!(dict instanceof Dict))
        throw new TemplateFault(`argument after ** must be a mapping, not ${typeName(dict)}`);
      this.#budget.spendObject(dict.size);
      for (const [key, value] of dict.items()) byName.set(requireText(key, 'keywords must be strings'), value);
    }
    return { positional: values, named: byName };
  }

  /** A chain `a < b < c`: true if each comparison is. Evaluates up to the first that is false. */
  #comparison({ first, rest }: Expression & { type: 'compare' }, scope: Scope): boolean {
    let left = this.evaluate(first, scope);
    for (const { operator, value } of rest) {
      const right = this.evaluate(value, scope);
      if (!this.#holds(operator, left, right)) return false;
      left = right;
    }
    return true;
  }

  #holds(operator: string, left: Value, right: Value): boolean {
    switch (operator) {
      case '==':
        return equal(left, right, this.#budget);
      case '!=':
        return !equal(left, right, this.#budget);
      case 'in':
        return contains(right, left, this.#budget);
      case 'not in':
        return !contains(right, left, this.#budget);
      default: {
        const order = compare(left, right, operator, this.#budget);
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
