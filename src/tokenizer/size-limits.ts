import { showValue, TokenizerError } from './json-fields.ts';

/** Steps of a pipeline, those within sequences counted. */
export const MAX_STEPS = 1000;
/** Sequences within sequences. */
export const MAX_DEPTH = 16;
/** Tokens of a vocabulary, and merges: twice as many as the largest published ones have. A token takes 200 bytes once it is loaded. */
export const MAX_ENTRIES = 2 ** 20;
/** UTF-16 units of a token, a pattern, a replacement. */
export const MAX_TEXT = 2 ** 16;

/** How much a text may grow on its way through all steps: as much as NFKD makes of U+FDFA, the worst of Unicode. */
const MAX_GROWTH = 18;
const GROWTH_ALLOWANCE = 2 ** 20;
/** Strings end at 2^29 - 24 units in V8. */
const MAX_LENGTH = 2 ** 28;

/**
 * @param source - The length of the text as it was given, before any step.
 * @throws {TokenizerError} naming the step, where it makes too much out of a text.
 */
export function checkGrowth(path: string, source: number, after: number): void {
  if (after <= Math.min(MAX_LENGTH, source * MAX_GROWTH + GROWTH_ALLOWANCE)) return;
  throw new TokenizerError(
    `${path}: makes ${after} characters out of ${source}, which is too much. Give it a shorter text, or use another tokenizer.`,
  );
}

/** @throws {TokenizerError} where a token is longer than any sensible one. */
export function checkToken(path: string, token: string): void {
  if (token.length > MAX_TEXT) {
    throw new TokenizerError(
      `${path}: expected tokens of at most ${MAX_TEXT} characters, got ${showValue(token)} of ${token.length}`,
    );
  }
}
