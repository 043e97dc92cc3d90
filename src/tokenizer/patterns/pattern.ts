import { withStepDeadline, enterStep } from '../step-deadline.ts';
import type { StepBuilder } from '../step-builder.ts';
import { showValue, TokenizerError, type Fields } from '../json-fields.ts';
import { MAX_TEXT } from '../size-limits.ts';
import { isLinearPattern } from './published-patterns.ts';
import { fromOniguruma } from './oniguruma.ts';

/** Finds all matches in a text. @returns start and end of each match in turn, in UTF-16 units. */
export type Pattern = (text: string) => number[];

/**
 * A pattern from a field that holds `{"String": "..."}` or `{"Regex": "..."}`.
 *
 * @throws {TokenizerError} when it is malformed, too large or not supported.
 */
export function readPattern(fields: Fields, name: string, builder: StepBuilder): Pattern {
  const pattern = fields.object(name);
  const kind = pattern.has('Regex') ? 'Regex' : 'String';
  const source = pattern.string(kind);
  if (source.length > MAX_TEXT) {
    throw new TokenizerError(
      `${pattern.path}: the pattern has ${source.length} characters, expected at most ${MAX_TEXT}`,
    );
  }
  if (kind === 'String') return source === '' ? matcher(new RegExp('', 'gu')) : literalMatcher(source);
  if (!isLinearPattern(source)) builder.isLinear = false;
  return matcher(compile(`${pattern.path}.Regex`, source));
}

/** @throws {TokenizerError} that names the path, when the pattern cannot be translated. */
function compile(path: string, source: string): RegExp {
  enterStep(path);
  try {
    const translate = () => {
      const regex = fromOniguruma(source);
      // V8 compiles an expression at its first use; this shows errors now.
      regex.test('');
      return regex;
    };
    return isLinearPattern(source) ? translate() : withStepDeadline(source.length, translate);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    throw new TokenizerError(`${path}: the pattern ${showValue(source)} ${reason(error)}`, { cause: error });
  }
}

function reason(error: Error): string {
  return error.message.startsWith('Invalid regular expression') ? 'cannot be used: it is too large' : error.message;
}

/**
 * Finds all matches of a regular expression, as the iterator of Oniguruma's Rust binding does.
 *
 * @param regex An expression with the flag `g`.
 */
export function matcher(regex: RegExp): Pattern {
  return (text) => {
    const found: number[] = [];
    let lastEnd = -1;
    regex.lastIndex = 0;
    for (let match = regex.exec(text); match; match = regex.exec(text)) {
      const start = match.index;
      const end = start + match[0].length;
      // V8 also finds empty matches within a surrogate pair.
      const isFound = start < end || !isWithinCharacter(text, start);
      // No empty match where the last match ended.
      if (isFound && (start < end || start !== lastEnd)) {
        found.push(start, end);
        lastEnd = end;
      }
      if (start === end) regex.lastIndex = end + (text.codePointAt(end)! > 0xffff ? 2 : 1);
    }
    return found;
  };
}

function isWithinCharacter(text: string, at: number): boolean {
  return at > 0 && text.codePointAt(at - 1)! > 0xffff;
}

function literalMatcher(part: string): Pattern {
  return (text) => {
    const found: number[] = [];
    for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) {
      found.push(at, at + part.length);
    }
    return found;
  };
}
