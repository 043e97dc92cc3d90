import { isSpace } from './python-strings.ts';
import { unescape } from './string-literal.ts';
import { TemplateFault } from './template-fault.ts';

/** A token of a template. `data` is text outside of tags. */
export interface Token {
  readonly type:
    'data' | 'begin' | 'end' | 'print' | 'endprint' | 'name' | 'string' | 'integer' | 'float' | 'operator' | 'eof';
  readonly value: string;
  readonly line: number;
}

const NAME = /[\p{L}\p{N}_]+/uy;
const NUMBER = /\d+(?:_\d+)*(?:(?:\.\d+(?:_\d+)*)?[eE][+-]?\d+(?:_\d+)*|\.\d+(?:_\d+)*)?/y;
const RADIX = /0(?:[bB](?:_?[01])+|[oO](?:_?[0-7])+|[xX](?:_?[\da-fA-F])+)/y;
const STRING = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const OPERATORS = ['//', '**', '==', '!=', '>=', '<=', ...'+ - / * % ~ [ ] ( ) { } > < = . : | , ;'.split(' ')];
const RAW = /[-+]?\s*raw\s*-?%\}/y;
const END_RAW = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/g;
const PAIRS: Readonly<Partial<Record<string, string>>> = { ')': '(', ']': '[', '}': '{' };

/**
 * Splits a template into text and the tokens of its tags. Line ends become `\n`, and one at the end is dropped. White space
 * beside tags is removed according to `trim_blocks` (the line end after a block), `lstrip_blocks` (the indent before one),
 * and the signs `-` and `+` of the tags.
 *
 * Source: Jinja2's `lexer.py` and its documentation, "Whitespace Control".
 */
export function tokenize(template: string): Token[] {
  const source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  const lineAt = lineCounter(source);
  const tokens: Token[] = [];
  let at = 0;

  const data = (text: string): void => {
    if (text !== '') tokens.push({ type: 'data', value: text, line: lineAt(at) });
  };
  /** The position where the text after a tag begins. */
  const after = (end: number, sign: string, isBlock: boolean): number => {
    if (sign === '-') return skipSpace(source, end);
    return isBlock && sign !== '+' && source[end] === '\n' ? end + 1 : end;
  };
  /** The text up to a tag, without the white space that the tag removes. */
  const before = (end: number, sign: string, isBlock: boolean): string => {
    const text = source.slice(at, end);
    if (sign === '-') return text.slice(0, end - at - spacesBefore(text));
    if (sign === '+' || !isBlock) return text;
    const line = text.lastIndexOf('\n') + 1;
    const startsLine = line > 0 || at === 0 || source[at - 1] === '\n';
    return startsLine && skipSpace(text, line) === text.length ? text.slice(0, line) : text;
  };

  while (at < source.length) {
    const open = nextTag(source, at);
    if (open < 0) {
      data(source.slice(at));
      break;
    }
    const kind = source[open + 1];
    const isBlock = kind !== '{';
    const sign = /[-+]/.test(source[open + 2] ?? '') ? source[open + 2] : '';
    data(before(open, sign, isBlock));
    if (kind === '#') {
      const close = source.indexOf('#}', open + 2);
      if (close < 0) throw new TemplateFault(`line ${lineAt(open)}: missing end of comment tag`);
      at = after(close + 2, close > open + 2 ? source[close - 1] : '', true);
      continue;
    }
    const raw = kind === '%' ? match(RAW, source, open + 2) : undefined;
    if (raw !== undefined) {
      at = after(open + 2 + raw.length, raw.at(-3) === '-' ? '-' : '+', true);
      END_RAW.lastIndex = at;
      const end = END_RAW.exec(source);
      if (!end) throw new TemplateFault(`line ${lineAt(open)}: missing end of raw directive`);
      data(before(end.index, end[1], true));
      at = after(end.index + end[0].length, end[2], true);
      continue;
    }
    tokens.push({ type: isBlock ? 'begin' : 'print', value: source.slice(open, open + 2), line: lineAt(open) });
    at = open + 2 + sign.length;
    const close = isBlock ? '%}' : '}}';
    const brackets: string[] = [];
    for (;;) {
      at = skipSpace(source, at);
      const line = lineAt(at);
      if (at >= source.length) throw new TemplateFault(`line ${line}: unexpected end of template, expected '${close}'`);
      if (brackets.length === 0) {
        const signed = source.startsWith(close, at + 1) && /[-+]/.test(source[at]);
        if ((signed && (isBlock || source[at] === '-')) || source.startsWith(close, at)) {
          tokens.push({ type: isBlock ? 'end' : 'endprint', value: close, line });
          at = after(at + close.length + Number(signed), signed ? source[at] : '', isBlock);
          break;
        }
      }
      const token = nextToken(source, at, tokens.at(-1)?.value === '.', line);
      tokens.push(token.token);
      at += token.length;
      if (token.token.type === 'operator') balance(brackets, token.token);
    }
  }
  tokens.push({ type: 'eof', value: 'end of template', line: lineAt(source.length) });
  return tokens;
}

function nextToken(source: string, at: number, afterDot: boolean, line: number): { token: Token; length: number } {
  const radix = match(RADIX, source, at);
  if (radix !== undefined) return { token: { type: 'integer', value: radix, line }, length: radix.length };
  const number = match(NUMBER, source, at);
  if (number !== undefined) {
    // `a.0.1` is an item of an item, not the number 0.1.
    const value = afterDot ? /^\d+/.exec(number)![0] : number;
    return { token: { type: /[.eE]/.test(value) ? 'float' : 'integer', value, line }, length: value.length };
  }
  const name = match(NAME, source, at);
  if (name !== undefined) return { token: { type: 'name', value: name, line }, length: name.length };
  const string = match(STRING, source, at);
  if (string !== undefined) {
    return { token: { type: 'string', value: unescape(string.slice(1, -1)), line }, length: string.length };
  }
  const operator = OPERATORS.find((sign) => source.startsWith(sign, at));
  if (operator === undefined)
    throw new TemplateFault(`line ${line}: unexpected character ${JSON.stringify(source[at])}`);
  return { token: { type: 'operator', value: operator, line }, length: operator.length };
}

function balance(brackets: string[], { value, line }: Token): void {
  if ('([{'.includes(value)) brackets.push(value);
  else if (PAIRS[value] !== undefined && brackets.pop() !== PAIRS[value])
    throw new TemplateFault(`line ${line}: unexpected '${value}'`);
}

function match(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}

function nextTag(source: string, from: number): number {
  for (let at = source.indexOf('{', from); at >= 0; at = source.indexOf('{', at + 1)) {
    if ('%{#'.includes(source[at + 1] ?? ' ')) return at;
  }
  return -1;
}

function skipSpace(source: string, from: number): number {
  let at = from;
  while (at < source.length && isSpace(source[at])) at++;
  return at;
}

function spacesBefore(text: string): number {
  let count = 0;
  while (count < text.length && isSpace(text[text.length - 1 - count])) count++;
  return count;
}

/** A function from offsets, which must not decrease, to lines. */
function lineCounter(source: string): (offset: number) => number {
  let [line, counted] = [1, 0];
  return (offset) => {
    for (; counted < offset; counted++) if (source[counted] === '\n') line++;
    return line;
  };
}
