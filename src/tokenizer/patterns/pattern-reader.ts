/** Reads the text of a pattern from left to right, by code points. */
export class PatternReader {
  readonly source: string;
  /** The position in `source`, in UTF-16 units. */
  at = 0;

  constructor(source: string) {
    this.source = source;
  }

  /** Whether the end is reached. */
  get done(): boolean {
    return this.at >= this.source.length;
  }

  /** The next character, without reading it; '' at the end. */
  peek(): string {
    const code = this.source.codePointAt(this.at);
    return code === undefined ? '' : String.fromCodePoint(code);
  }

  /** Reads a character. @throws {SyntaxError} at the end. */
  next(): string {
    const char = this.peek();
    if (char === '') this.fail('ends in the middle');
    this.at += char.length;
    return char;
  }

  /** Whether `text` comes next. */
  looksAt(text: string): boolean {
    return this.source.startsWith(text, this.at);
  }

  /** Reads `text` if it comes next. @returns whether it did. */
  take(text: string): boolean {
    if (!this.looksAt(text)) return false;
    this.at += text.length;
    return true;
  }

  /** Reads what a sticky expression matches here; undefined when it does not match. */
  match(sticky: RegExp): RegExpExecArray | undefined {
    sticky.lastIndex = this.at;
    const found = sticky.exec(this.source);
    if (!found) return undefined;
    this.at += found[0].length;
    return found;
  }

  /** @throws {SyntaxError} whose message continues "the pattern ... ": `has an empty class, at character 7`. */
  fail(why: string): never {
    throw new SyntaxError(`${why}, at character ${this.at}`);
  }
}
