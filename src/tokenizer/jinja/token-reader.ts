import type { Token } from './lexer.ts';
import { TemplateFault } from './template-fault.ts';

/** Reads the tokens of a template from first to last, one ahead. */
export class TokenReader {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at];
  }

  /** Moves on by `count` tokens. @returns the token that was current. */
  advance(count = 1): Token {
    const token = this.current;
    this.#at += count;
    return token;
  }

  /** Makes the previous token current again, so that an error names its line. */
  back(): void {
    this.#at -= 1;
  }

  /** Whether the token `ahead` of the current one is this operator or name. */
  is(value: string, ahead = 0): boolean {
    const { type, value: found } = this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)];
    return found === value && (type === 'operator' || type === 'name');
  }

  /** Reads an operator or name if it is the current token. @returns whether it was. */
  skip(value: string): boolean {
    const found = this.is(value);
    if (found) this.#at += 1;
    return found;
  }

  /** @throws {TemplateFault} when the current token is not this operator or name. */
  expect(value: string): void {
    if (!this.skip(value)) this.unexpected(value);
  }

  /** @throws {TemplateFault} when the current token has another type; `expected` names it in the message. */
  expectType(type: Token['type'], expected: string): string {
    if (this.current.type !== type) this.unexpected(expected);
    return this.advance().value;
  }

  /** @throws {TemplateFault} when the current token is no name. */
  name(): string {
    return this.expectType('name', 'a name');
  }

  /** @throws {TemplateFault} with the line of the current token. */
  fail(message: string): never {
    throw new TemplateFault(`line ${this.current.line}: ${message}`);
  }

  /** @throws {TemplateFault} that names the current token and, where given, what was expected in its place. */
  unexpected(expected?: string): never {
    const got = `unexpected '${this.current.value}'`;
    return this.fail(expected === undefined ? got : `${got}, expected '${expected}'`);
  }
}
