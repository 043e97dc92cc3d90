import { ExpressionParser } from './expression-parser.ts';
import { tokenize } from './lexer.ts';
import type { Body, Expression, Macro, Statement, Target } from './syntax-tree.ts';
import { TokenReader } from './token-reader.ts';

/**
 * Parses a Jinja template, with loop controls and the `generation` tag of transformers. Tags that load other templates
 * (`extends`, `include`, `import`) are unknown: a chat template stands alone.
 *
 * @throws {TemplateFault} when the template is malformed.
 */
export function parseTemplate(source: string): Body {
  return new StatementParser(new TokenReader(tokenize(source))).template();
}

/** Parses the tags of a template and the text between them. Source: Jinja2's `parser.py`. */
class StatementParser {
  readonly #tokens: TokenReader;
  readonly #expressions: ExpressionParser;

  constructor(tokens: TokenReader) {
    this.#tokens = tokens;
    this.#expressions = new ExpressionParser(tokens);
  }

  template(): Body {
    const body = this.#body([]);
    if (this.#tokens.current.type !== 'eof') this.#tokens.unexpected();
    return body;
  }

  /** Parses statements up to one of the tags in `ends`. Its `{%` is read; its name is the current token. */
  #body(ends: readonly string[]): Statement[] {
    const body: Statement[] = [];
    for (;;) {
      const { type, value, line } = this.#tokens.current;
      if (type === 'eof') {
        if (ends.length > 0) this.#tokens.unexpected(ends.join("' or '"));
        return body;
      }
      this.#tokens.advance();
      if (type === 'data') {
        body.push({ type: 'text', text: value });
      } else if (type === 'print') {
        body.push({ type: 'print', value: this.#expressions.tuple(['endprint']), line });
        this.#tokens.expectType('endprint', '}}');
      } else {
        if (ends.some((end) => this.#tokens.is(end))) return body;
        body.push(...this.#statement(line));
        this.#tokens.expectType('end', '%}');
      }
    }
  }

  /** Reads the `%}` of the current tag and parses the body up to one of the tags in `ends`. */
  #block(...ends: string[]): Statement[] {
    this.#tokens.expectType('end', '%}');
    return this.#body(ends);
  }
  #blockUntil(end: string): Statement[] {
    const body = this.#block(end);
    this.#tokens.expect(end);
    return body;
  }

  #statement(line: number): Statement[] {
    const tag = this.#tokens.name();
    switch (tag) {
      case 'if':
        return [this.#conditional(line)];
      case 'for':
        return [this.#loop(line)];
      case 'set':
        return [this.#set(line)];
      case 'print':
        return [{ type: 'print', value: this.#expressions.tuple(['end']), line }];
      case 'macro': {
        const name = this.#tokens.name();
        return [{ type: 'macro', name, macro: this.#macro('endmacro'), line }];
      }
      case 'call':
        return [this.#call(line)];
      case 'filter':
        return [{ type: 'filter', filters: this.#expressions.filters(), body: this.#blockUntil('endfilter'), line }];
      case 'with':
        return [this.#with(line)];
      case 'break':
      case 'continue':
        return [{ type: tag, line }];
      case 'generation': {
        // Marks the text of the assistant for training; here it is printed as it is.
        const body = this.#blockUntil('endgeneration');
        return [{ type: 'with', variables: [], body, line }];
      }
      default:
        this.#tokens.back();
        return this.#tokens.fail(`unknown tag '${tag}'`);
    }
  }

  #conditional(line: number): Statement {
    const test = this.#expressions.tuple(['end'], false);
    const body = this.#block('elif', 'else', 'endif');
    const next = this.#tokens.current.line;
    if (this.#tokens.skip('elif')) return { type: 'if', test, body, otherwise: [this.#conditional(next)], line };
    const otherwise = this.#tokens.skip('else') ? this.#block('endif') : [];
    this.#tokens.expect('endif');
    return { type: 'if', test, body, otherwise, line };
  }

  #loop(line: number): Statement {
    const target = this.#target(['in']);
    this.#tokens.expect('in');
    const items = this.#expressions.tuple(['end', 'recursive', 'if'], false);
    const condition = this.#tokens.skip('if') ? this.#expressions.expression() : undefined;
    const recursive = this.#tokens.skip('recursive');
    const body = this.#block('endfor', 'else');
    const otherwise = this.#tokens.skip('else') ? this.#block('endfor') : [];
    this.#tokens.expect('endfor');
    return { type: 'for', target, items, condition, recursive, body, otherwise, line };
  }

  #set(line: number): Statement {
    const target = this.#target(['=']);
    if (this.#tokens.skip('=')) return { type: 'set', target, value: this.#expressions.tuple(['end']), line };
    const filters = this.#tokens.is('|') ? this.#expressions.pipes() : [];
    return { type: 'capture', target, filters, body: this.#blockUntil('endset'), line };
  }

  #macro(end: string): Macro {
    const parameters = this.#parameters();
    return { parameters, body: this.#blockUntil(end) };
  }

  #parameters(): Macro['parameters'] {
    const parameters: { name: string; otherwise: Expression | undefined }[] = [];
    this.#tokens.expect('(');
    while (!this.#tokens.is(')')) {
      if (parameters.length > 0) this.#tokens.expect(',');
      const name = this.#tokens.name();
      const otherwise = this.#tokens.skip('=') ? this.#expressions.expression() : undefined;
      if (otherwise === undefined && parameters.at(-1)?.otherwise !== undefined)
        this.#tokens.fail('non-default argument follows default argument');
      parameters.push({ name, otherwise });
    }
    this.#tokens.expect(')');
    return parameters;
  }

  #call(line: number): Statement {
    const parameters = this.#tokens.is('(') ? this.#parameters() : [];
    const call = this.#expressions.expression();
    if (call.type !== 'invoke') this.#tokens.fail('expected a call');
    return { type: 'call', call, macro: { parameters, body: this.#blockUntil('endcall') }, line };
  }

  #with(line: number): Statement {
    const variables: [Target, Expression][] = [];
    while (this.#tokens.current.type !== 'end') {
      if (variables.length > 0) this.#tokens.expect(',');
      const target = this.#target(['=']);
      this.#tokens.expect('=');
      variables.push([target, this.#expressions.expression()]);
    }
    return { type: 'with', variables, body: this.#blockUntil('endwith'), line };
  }

  #target(ends: readonly string[]): Target {
    const targets: Target[] = [];
    let isTuple = false;
    do {
      if (ends.some((end) => this.#tokens.is(end))) break;
      targets.push(this.#singleTarget());
      isTuple ||= this.#tokens.is(',');
    } while (this.#tokens.skip(','));
    return isTuple || targets.length === 0 ? { type: 'targets', targets } : targets[0];
  }

  #singleTarget(): Target {
    if (this.#tokens.skip('(')) {
      const target = this.#target([')']);
      this.#tokens.expect(')');
      return target;
    }
    const name = this.#tokens.name();
    if (['true', 'false', 'none', 'True', 'False', 'None'].includes(name))
      this.#tokens.fail(`can't assign to '${name}'`);
    return this.#tokens.skip('.') ? { type: 'attribute', of: name, name: this.#tokens.name() } : { type: 'name', name };
  }
}
