import { tokenize, type Token } from './lexer.ts';
import type { Body, CallArguments, Expression, FilterCall, MacroParts, Statement, Target } from './syntax-tree.ts';
import { Float, TemplateFault } from './python-values.ts';

const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='];
const NOTHING: CallArguments = { positional: [], named: [], more: undefined, moreNamed: undefined };

/**
 * Parses a Jinja template, with loop controls and transformers' `generation` tag, which marks text and prints it as it
 * is. Templates that load others (`extends`, `include`, `import`) are not known: a chat template stands alone.
 *
 * Source: Jinja2's `parser.py`; the methods follow its grammar, from the loosest operator to the tightest.
 */
export function parse(source: string): Body {
  return new Parser(tokenize(source)).template();
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  template(): Body {
    const body = this.#body([]);
    if (this.#current.type !== 'eof') this.#unexpected();
    return body;
  }

  get #current(): Token {
    return this.#tokens[this.#at];
  }

  #fail(message: string): never {
    throw new TemplateFault(`line ${this.#current.line}: ${message}`);
  }
  #unexpected(expected?: string): never {
    const got = `unexpected '${this.#current.value}'`;
    return this.#fail(expected === undefined ? got : `${got}, expected '${expected}'`);
  }

  #is(value: string, ahead = 0): boolean {
    const { type, value: found } = this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)];
    return found === value && (type === 'operator' || type === 'name');
  }
  #skip(value: string): boolean {
    const found = this.#is(value);
    if (found) this.#at += 1;
    return found;
  }
  #expect(value: string): void {
    if (!this.#skip(value)) this.#unexpected(value);
  }
  #expectType(type: Token['type'], expected: string): string {
    if (this.#current.type !== type) this.#unexpected(expected);
    return this.#tokens[this.#at++].value;
  }
  #name(): string {
    return this.#expectType('name', 'a name');
  }

  // Statements

  /** Statements up to one of the tags in `ends`, whose `{%` is then read and whose name is current. */
  #body(ends: readonly string[]): Statement[] {
    const body: Statement[] = [];
    for (;;) {
      const { type, value, line } = this.#current;
      if (type === 'eof') {
        if (ends.length > 0) this.#unexpected(ends.join("' or '"));
        return body;
      }
      this.#at += 1;
      if (type === 'data') {
        body.push({ type: 'text', text: value });
      } else if (type === 'print') {
        body.push({ type: 'print', value: this.#tuple(['endprint']), line });
        this.#expectType('endprint', '}}');
      } else {
        if (ends.some((end) => this.#is(end))) return body;
        body.push(...this.#statement(line));
        this.#expectType('end', '%}');
      }
    }
  }

  /** The body of a tag that is over, up to the end tag, and that tag's name. */
  #block(...ends: string[]): Statement[] {
    this.#expectType('end', '%}');
    const body = this.#body(ends);
    return body;
  }
  #blockUntil(end: string): Statement[] {
    const body = this.#block(end);
    this.#expect(end);
    return body;
  }

  #statement(line: number): Statement[] {
    const tag = this.#name();
    switch (tag) {
      case 'if':
        return [this.#conditional(line)];
      case 'for':
        return [this.#loop(line)];
      case 'set':
        return [this.#set(line)];
      case 'print':
        return [{ type: 'print', value: this.#tuple(['end']), line }];
      case 'macro': {
        const name = this.#name();
        return [{ type: 'macro', name, macro: this.#macro('endmacro'), line }];
      }
      case 'call':
        return [this.#call(line)];
      case 'filter':
        return [{ type: 'filter', filters: this.#filters(), body: this.#blockUntil('endfilter'), line }];
      case 'with':
        return [this.#with(line)];
      case 'break':
      case 'continue':
        return [{ type: tag, line }];
      case 'generation': {
        // Its text is the assistant's, for those who train on it.
        const body = this.#blockUntil('endgeneration');
        return [{ type: 'with', variables: [], body, line }];
      }
      default:
        this.#at -= 1;
        return this.#fail(`unknown tag '${tag}'`);
    }
  }

  #conditional(line: number): Statement {
    const test = this.#tuple(['end'], false);
    const body = this.#block('elif', 'else', 'endif');
    const next = this.#current.line;
    if (this.#skip('elif')) return { type: 'if', test, body, otherwise: [this.#conditional(next)], line };
    const otherwise = this.#skip('else') ? this.#block('endif') : [];
    this.#expect('endif');
    return { type: 'if', test, body, otherwise, line };
  }

  #loop(line: number): Statement {
    const target = this.#target(['in']);
    this.#expect('in');
    const items = this.#tuple(['end', 'recursive', 'if'], false);
    const condition = this.#skip('if') ? this.#expression() : undefined;
    const recursive = this.#skip('recursive');
    const body = this.#block('endfor', 'else');
    const otherwise = this.#skip('else') ? this.#block('endfor') : [];
    this.#expect('endfor');
    return { type: 'for', target, items, condition, recursive, body, otherwise, line };
  }

  #set(line: number): Statement {
    const target = this.#target(['=']);
    if (this.#skip('=')) return { type: 'set', target, value: this.#tuple(['end']), line };
    const filters = this.#is('|') ? this.#pipes() : [];
    return { type: 'capture', target, filters, body: this.#blockUntil('endset'), line };
  }

  #macro(end: string): MacroParts {
    const parameters = this.#parameters();
    return { parameters, body: this.#blockUntil(end) };
  }

  #parameters(): MacroParts['parameters'] {
    const parameters: { name: string; otherwise: Expression | undefined }[] = [];
    this.#expect('(');
    while (!this.#is(')')) {
      if (parameters.length > 0) this.#expect(',');
      const name = this.#name();
      const otherwise = this.#skip('=') ? this.#expression() : undefined;
      if (otherwise === undefined && parameters.at(-1)?.otherwise !== undefined)
        this.#fail('non-default argument follows default argument');
      parameters.push({ name, otherwise });
    }
    this.#expect(')');
    return parameters;
  }

  #call(line: number): Statement {
    const parameters = this.#is('(') ? this.#parameters() : [];
    const call = this.#expression();
    if (call.type !== 'invoke') this.#fail('expected a call');
    return { type: 'call', call, macro: { parameters, body: this.#blockUntil('endcall') }, line };
  }

  #with(line: number): Statement {
    const variables: [Target, Expression][] = [];
    while (this.#current.type !== 'end') {
      if (variables.length > 0) this.#expect(',');
      const target = this.#target(['=']);
      this.#expect('=');
      variables.push([target, this.#expression()]);
    }
    return { type: 'with', variables, body: this.#blockUntil('endwith'), line };
  }

  #target(ends: readonly string[]): Target {
    const targets: Target[] = [];
    let isTuple = false;
    do {
      if (ends.some((end) => this.#is(end))) break;
      targets.push(this.#singleTarget());
      isTuple ||= this.#is(',');
    } while (this.#skip(','));
    return isTuple || targets.length === 0 ? { type: 'targets', targets } : targets[0];
  }

  #singleTarget(): Target {
    if (this.#skip('(')) {
      const target = this.#target([')']);
      this.#expect(')');
      return target;
    }
    const name = this.#name();
    if (['true', 'false', 'none', 'True', 'False', 'None'].includes(name)) this.#fail(`can't assign to '${name}'`);
    return this.#skip('.') ? { type: 'attribute', of: name, name: this.#name() } : { type: 'name', name };
  }

  // Expressions

  /** One expression, or several as a tuple. `ends` are tokens, by value or type, before which a tuple may stop. */
  #tuple(ends: readonly string[], choices = true): Expression {
    const items: Expression[] = [];
    const ended = (): boolean => ends.some((end) => this.#is(end) || this.#current.type === end);
    let isTuple = false;
    do {
      if (ended()) break;
      items.push(choices ? this.#expression() : this.#or());
      isTuple ||= this.#is(',');
    } while (this.#skip(','));
    if (isTuple) return { type: 'tuple', items };
    return items.length > 0 ? items[0] : this.#unexpected('an expression');
  }

  #expression(): Expression {
    let value = this.#or();
    while (this.#skip('if')) {
      const test = this.#or();
      value = { type: 'choice', test, value, otherwise: this.#skip('else') ? this.#expression() : undefined };
    }
    return value;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#skip('or')) left = { type: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#skip('and')) left = { type: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    return this.#skip('not') ? { type: 'not', value: this.#not() } : this.#comparison();
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: { operator: string; value: Expression }[] = [];
    for (;;) {
      let operator = COMPARISONS.find((sign) => this.#is(sign));
      if (operator !== undefined) this.#at += 1;
      else if (this.#skip('in')) operator = 'in';
      else if (this.#is('not') && this.#is('in', 1)) {
        operator = 'not in';
        this.#at += 2;
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
    while (this.#skip('~')) parts.push(this.#product());
    return parts.length > 1 ? { type: 'concat', parts } : parts[0];
  }

  #product(): Expression {
    return this.#leftToRight(['*', '/', '//', '%'], () => this.#leftToRight(['**'], () => this.#unary()));
  }

  #leftToRight(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((sign) => this.#is(sign));
      if (operator === undefined) return left;
      this.#at += 1;
      left = { type: 'arithmetic', operator, left, right: operand() };
    }
  }

  #unary(withFilters = true): Expression {
    const sign = this.#is('-') ? '-' : this.#is('+') ? '+' : undefined;
    if (sign) this.#at += 1;
    const operand: Expression = sign ? { type: 'sign', sign, value: this.#unary(false) } : this.#primary();
    const value = this.#postfix(operand);
    return withFilters ? this.#filtersAndTests(value) : value;
  }

  #primary(): Expression {
    const { type, value } = this.#current;
    this.#at += 1;
    switch (type) {
      case 'name':
        return named(value);
      case 'string': {
        let text = value;
        while (this.#current.type === 'string') text += this.#tokens[this.#at++].value;
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
      if (value === '[') return { type: 'list', items: this.#items(']', () => this.#expression()) };
      if (value === '{') {
        const entry = (): [Expression, Expression] => {
          const key = this.#expression();
          this.#expect(':');
          return [key, this.#expression()];
        };
        return { type: 'dict', entries: this.#items('}', entry) };
      }
    }
    this.#at -= 1;
    return this.#unexpected();
  }

  #parenthesised(): Expression {
    if (this.#skip(')')) return { type: 'tuple', items: [] };
    const value = this.#tuple([')']);
    this.#expect(')');
    return value;
  }

  /** Items between commas, up to the closing bracket; a last comma may stand before it. */
  #items<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#is(close)) {
      items.push(item());
      if (!this.#skip(',')) break;
    }
    this.#expect(close);
    return items;
  }

  #postfix(operand: Expression): Expression {
    let value = operand;
    for (;;) {
      if (this.#skip('.')) value = this.#field(value);
      else if (this.#skip('[')) value = this.#subscript(value);
      else if (this.#is('(')) value = { type: 'invoke', callee: value, args: this.#arguments() };
      else return value;
    }
  }

  #field(of: Expression): Expression {
    if (this.#current.type === 'name') return { type: 'attribute', of, name: this.#name() };
    const index = Number(this.#expectType('integer', 'a name or a number'));
    return { type: 'item', of, key: { type: 'constant', value: index } };
  }

  #subscript(of: Expression): Expression {
    const bounds: (Expression | undefined)[] = [];
    let [isSlice, isTuple] = [false, false];
    let bound: Expression | undefined;
    while (!this.#is(']')) {
      if (this.#skip(':')) {
        isSlice = true;
        bounds.push(bound);
        bound = undefined;
      } else if (bound !== undefined && !isSlice && this.#is(',')) {
        isTuple = true;
        break;
      } else if (bound === undefined) bound = this.#expression();
      else this.#unexpected(']');
    }
    if (isTuple) {
      const items = [bound!];
      while (this.#skip(',') && !this.#is(']')) items.push(this.#expression());
      bound = { type: 'tuple', items };
    }
    this.#expect(']');
    if (isSlice) {
      if (bounds.length > 2) this.#fail('a slice has at most three parts');
      return { type: 'slice', of, bounds: [...bounds, bound] };
    }
    return bound === undefined ? this.#unexpected('an expression') : { type: 'item', of, key: bound };
  }

  #filtersAndTests(operand: Expression): Expression {
    let value = operand;
    for (;;) {
      if (this.#is('|')) for (const filter of this.#pipes()) value = { type: 'apply', value, filter };
      else if (this.#skip('is')) value = this.#test(value);
      else if (this.#is('(')) value = { type: 'invoke', callee: value, args: this.#arguments() };
      else return value;
    }
  }

  /** `| filter | filter` */
  #pipes(): FilterCall[] {
    const filters: FilterCall[] = [];
    while (this.#skip('|')) filters.push(this.#filterCall());
    return filters;
  }
  /** `filter | filter` */
  #filters(): FilterCall[] {
    return [this.#filterCall(), ...this.#pipes()];
  }
  #filterCall(): FilterCall {
    const name = this.#dottedName();
    return { name, args: this.#is('(') ? this.#arguments() : NOTHING };
  }
  #dottedName(): string {
    let name = this.#name();
    while (this.#skip('.')) name += `.${this.#name()}`;
    return name;
  }

  #test(value: Expression): Expression {
    const negated = this.#skip('not');
    const name = this.#dottedName();
    const { type } = this.#current;
    let args = NOTHING;
    if (this.#is('(')) args = this.#arguments();
    else if (
      (['name', 'string', 'integer', 'float'].includes(type) || this.#is('[') || this.#is('{')) &&
      !['else', 'or', 'and'].some((word) => this.#is(word))
    ) {
      if (this.#is('is')) this.#fail('tests cannot follow each other');
      // As in Jinja2: `x is defined if y` is an error there as well, so no word but those above may follow.
      args = { ...NOTHING, positional: [this.#postfix(this.#primary())] };
    }
    const test: Expression = { type: 'test', value, test: { name, args } };
    return negated ? { type: 'not', value: test } : test;
  }

  #arguments(): CallArguments {
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let more: Expression | undefined;
    let moreNamed: Expression | undefined;
    this.#expect('(');
    while (!this.#is(')')) {
      if (moreNamed !== undefined) this.#fail('an argument follows `**`');
      if (this.#skip('*')) {
        if (more !== undefined) this.#fail('`*` comes twice');
        more = this.#expression();
      } else if (this.#skip('**')) {
        moreNamed = this.#expression();
      } else if (this.#current.type === 'name' && this.#is('=', 1)) {
        const name = this.#name();
        this.#expect('=');
        named.push([name, this.#expression()]);
      } else {
        if (more !== undefined || named.length > 0) this.#fail('a positional argument follows a named one');
        positional.push(this.#expression());
      }
      if (!this.#skip(',')) break;
    }
    this.#expect(')');
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
