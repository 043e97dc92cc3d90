import { Float } from './python-values.ts';
import type { CallArguments, Expression, FilterCall } from './syntax-tree.ts';
import type { TokenReader } from './token-reader.ts';

const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='];
const NO_CALL_ARGUMENTS: CallArguments = { positional: [], named: [], more: undefined, moreNamed: undefined };

/**
 * Parses the expressions of a template. One method per level of Jinja2's grammar, from the operator that binds least to
 * the one that binds most.
 *
 * Source: Jinja2's `parser.py`.
 */
export class ExpressionParser {
  readonly #tokens: TokenReader;

  constructor(tokens: TokenReader) {
    this.#tokens = tokens;
  }

  /**
   * Parses an expression, or several with commas as a tuple.
   *
   * @param ends The tokens, by value or type, before which a tuple may end.
   * @param choices Whether the expressions may be inline `if`s. Default true.
   */
  tuple(ends: readonly string[], choices = true): Expression {
    const items: Expression[] = [];
    const ended = (): boolean => ends.some((end) => this.#tokens.is(end) || this.#tokens.current.type === end);
    let isTuple = false;
    do {
      if (ended()) break;
      items.push(choices ? this.expression() : this.#or());
      isTuple ||= this.#tokens.is(',');
    } while (this.#tokens.skip(','));
    if (isTuple) return { type: 'tuple', items };
    return items.length > 0 ? items[0] : this.#tokens.unexpected('an expression');
  }

  /** Parses one expression. */
  expression(): Expression {
    let value = this.#or();
    while (this.#tokens.skip('if')) {
      const test = this.#or();
      value = { type: 'choice', test, value, otherwise: this.#tokens.skip('else') ? this.expression() : undefined };
    }
    return value;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#tokens.skip('or')) left = { type: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#tokens.skip('and')) left = { type: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    return this.#tokens.skip('not') ? { type: 'not', value: this.#not() } : this.#comparison();
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: { operator: string; value: Expression }[] = [];
    for (;;) {
      let operator = COMPARISONS.find((sign) => this.#tokens.is(sign));
      if (operator !== undefined) this.#tokens.advance();
      else if (this.#tokens.skip('in')) operator = 'in';
      else if (this.#tokens.is('not') && this.#tokens.is('in', 1)) {
        operator = 'not in';
        this.#tokens.advance(2);
      } else break;
      rest.push({ operator, value: this.#sum() });
    }
    return rest.length > 0 ? { type: 'compare', first, rest } : first;
  }

  #sum(): Expression {
    return this.#leftToRight(['+', '-'], () => this.#concat());
  }

  #concat(): Expression {
    const parts = [this.#product()];
    while (this.#tokens.skip('~')) parts.push(this.#product());
    return parts.length > 1 ? { type: 'concat', parts } : parts[0];
  }

  #product(): Expression {
    return this.#leftToRight(['*', '/', '//', '%'], () => this.#leftToRight(['**'], () => this.#unary()));
  }

  #leftToRight(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((sign) => this.#tokens.is(sign));
      if (operator === undefined) return left;
      this.#tokens.advance();
      left = { type: 'arithmetic', operator, left, right: operand() };
    }
  }

  #unary(withFilters = true): Expression {
    const sign = this.#tokens.is('-') ? '-' : this.#tokens.is('+') ? '+' : undefined;
    if (sign) this.#tokens.advance();
    const operand: Expression = sign ? { type: 'sign', sign, value: this.#unary(false) } : this.#primary();
    const value = this.#postfix(operand);
    return withFilters ? this.#filtersAndTests(value) : value;
  }

  #primary(): Expression {
    const { type, value } = this.#tokens.current;
    this.#tokens.advance();
    switch (type) {
      case 'name':
        return named(value);
      case 'string': {
        let text = value;
        while (this.#tokens.current.type === 'string') text += this.#tokens.advance().value;
        return { type: 'constant', value: text };
      }
      case 'integer':
      case 'float': {
        const number = Number(value.replaceAll('_', ''));
        return {
          type: 'constant',
          value: type === 'float' || !Number.isSafeInteger(number) ? new Float(number) : number,
        };
      }
      default:
    }
    if (type === 'operator') {
      if (value === '(') return this.#parenthesised();
      if (value === '[') return { type: 'list', items: this.#items(']', () => this.expression()) };
      if (value === '{') {
        const entry = (): [Expression, Expression] => {
          const key = this.expression();
          this.#tokens.expect(':');
          return [key, this.expression()];
        };
        return { type: 'dict', entries: this.#items('}', entry) };
      }
    }
    this.#tokens.back();
    return this.#tokens.unexpected();
  }

  #parenthesised(): Expression {
    if (this.#tokens.skip(')')) return { type: 'tuple', items: [] };
    const value = this.tuple([')']);
    this.#tokens.expect(')');
    return value;
  }

  /** Parses items with commas up to the closing bracket, with or without a comma before it. */
  #items<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#tokens.is(close)) {
      items.push(item());
      if (!this.#tokens.skip(',')) break;
    }
    this.#tokens.expect(close);
    return items;
  }

  #postfix(operand: Expression): Expression {
    let value = operand;
    for (;;) {
      if (this.#tokens.skip('.')) value = this.#field(value);
      else if (this.#tokens.skip('[')) value = this.#subscript(value);
      else if (this.#tokens.is('(')) value = { type: 'invoke', callee: value, args: this.#arguments() };
      else return value;
    }
  }

  #field(of: Expression): Expression {
    if (this.#tokens.current.type === 'name') return { type: 'attribute', of, name: this.#tokens.name() };
    const index = Number(this.#tokens.expectType('integer', 'a name or a number'));
    return { type: 'item', of, key: { type: 'constant', value: index } };
  }

  #subscript(of: Expression): Expression {
    const bounds: (Expression | undefined)[] = [];
    let [isSlice, isTuple] = [false, false];
    let bound: Expression | undefined;
    while (!this.#tokens.is(']')) {
      if (this.#tokens.skip(':')) {
        isSlice = true;
        bounds.push(bound);
        bound = undefined;
      } else if (bound !== undefined && !isSlice && this.#tokens.is(',')) {
        isTuple = true;
        break;
      } else if (bound === undefined) bound = this.expression();
      else this.#tokens.unexpected(']');
    }
    if (isTuple) {
      const items = [bound!];
      while (this.#tokens.skip(',') && !this.#tokens.is(']')) items.push(this.expression());
      bound = { type: 'tuple', items };
    }
    this.#tokens.expect(']');
    if (isSlice) {
      if (bounds.length > 2) this.#tokens.fail('a slice has at most three parts');
      return { type: 'slice', of, bounds: [...bounds, bound] };
    }
    return bound === undefined ? this.#tokens.unexpected('an expression') : { type: 'item', of, key: bound };
  }

  #filtersAndTests(operand: Expression): Expression {
    let value = operand;
    for (;;) {
      if (this.#tokens.is('|')) for (const filter of this.pipes()) value = { type: 'apply', value, filter };
      else if (this.#tokens.skip('is')) value = this.#test(value);
      else if (this.#tokens.is('(')) value = { type: 'invoke', callee: value, args: this.#arguments() };
      else return value;
    }
  }

  /** Parses `| filter | filter`. */
  pipes(): FilterCall[] {
    const filters: FilterCall[] = [];
    while (this.#tokens.skip('|')) filters.push(this.#filterCall());
    return filters;
  }
  /** Parses `filter | filter`. */
  filters(): FilterCall[] {
    return [this.#filterCall(), ...this.pipes()];
  }
  #filterCall(): FilterCall {
    const name = this.#dottedName();
    return { name, args: this.#tokens.is('(') ? this.#arguments() : NO_CALL_ARGUMENTS };
  }
  #dottedName(): string {
    let name = this.#tokens.name();
    while (this.#tokens.skip('.')) name += `.${this.#tokens.name()}`;
    return name;
  }

  #test(value: Expression): Expression {
    const negated = this.#tokens.skip('not');
    const name = this.#dottedName();
    const { type } = this.#tokens.current;
    let args = NO_CALL_ARGUMENTS;
    if (this.#tokens.is('(')) args = this.#arguments();
    else if (
      (['name', 'string', 'integer', 'float'].includes(type) || this.#tokens.is('[') || this.#tokens.is('{')) &&
      !['else', 'or', 'and'].some((word) => this.#tokens.is(word))
    ) {
      if (this.#tokens.is('is')) this.#tokens.fail('tests cannot follow each other');
      // As in Jinja2, any other name begins an argument: `x is defined if y` is an error.
      args = { ...NO_CALL_ARGUMENTS, positional: [this.#postfix(this.#primary())] };
    }
    const test: Expression = { type: 'test', value, test: { name, args } };
    return negated ? { type: 'not', value: test } : test;
  }

  #arguments(): CallArguments {
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let more: Expression | undefined;
    let moreNamed: Expression | undefined;
    this.#tokens.expect('(');
    while (!this.#tokens.is(')')) {
      if (moreNamed !== undefined) this.#tokens.fail('an argument follows `**`');
      if (this.#tokens.skip('*')) {
        if (more !== undefined) this.#tokens.fail('`*` comes twice');
        more = this.expression();
      } else if (this.#tokens.skip('**')) {
        moreNamed = this.expression();
      } else if (this.#tokens.current.type === 'name' && this.#tokens.is('=', 1)) {
        const name = this.#tokens.name();
        this.#tokens.expect('=');
        named.push([name, this.expression()]);
      } else {
        if (more !== undefined || named.length > 0) this.#tokens.fail('a positional argument follows a named one');
        positional.push(this.expression());
      }
      if (!this.#tokens.skip(',')) break;
    }
    this.#tokens.expect(')');
    return { positional, named, more, moreNamed };
  }
}

function named(name: string): Expression {
  switch (name) {
    case 'true':
    case 'True':
      return { type: 'constant', value: true };
    case 'false':
    case 'False':
      return { type: 'constant', value: false };
    case 'none':
    case 'None':
      return { type: 'constant', value: null };
    default:
      return { type: 'name', name };
  }
}
