import { showValue, TokenizerError } from './json-fields.ts';

/** The most steps of a pipeline, with those within sequences. */
export const MAX_STEPS = 1000;
/** The most sequences within each other. */
export const MAX_DEPTH = 16;
/** The most tokens of a vocabulary, and merges: twice those of the largest published ones. A loaded token takes 200 bytes. */
export const MAX_ENTRIES = 2 ** 20;
/** The most UTF-16 units of a token, a pattern or a replacement. */
export const MAX_TEXT = 2 ** 16;

/** The factor by which a text may grow in all steps: that of U+FDFA under NFKD, the largest in Unicode. */
const MAX_GROWTH = 18;
const GROWTH_ALLOWANCE = 2 ** 20;
/** V8 limits strings to 2^29 - 24 units. */
const MAX_LENGTH = 2 ** 28;

/**
 * Checks the length of a text after a step.
 *
 * @param path The step of tokenizer.json, for the message.
 * @param source The length of the input text, before any step.
 * @param after The length after the step.
 * @throws {TokenizerError} that names the step, when the text has grown too much.
 */
export function checkGrowth(path: string, source: number, after: number): void {
  if (after <= Math.min(MAX_LENGTH, source * MAX_GROWTH + GROWTH_ALLOWANCE)) return;
  throw new TokenizerError(
    `${path}: makes ${after} characters out of ${source}, which is too much. Give it a shorter text, or use another tokenizer.`,
  );
}

/** @throws {TokenizerError} when a token has more than `MAX_TEXT` units. */
export function checkToken(path: string, token: string): void {
  if (token.length > MAX_TEXT) {
    throw new TokenizerError(
      `${path}: expected tokens of at most ${MAX_TEXT} characters, got ${showValue(token)} of ${token.length}`,
    );
  }
}
