import { DeadlineError, withDeadline } from '../platform/deadline.ts';
import { TokenizerError } from './json-fields.ts';

/** Milliseconds: ten times what a published pipeline needs on a slow machine. */
const BASE = 1000;
const PER_CHARACTER = 0.01;

let step = 'tokenizer.json';

/** Notes which step of tokenizer.json runs now, for the error of `bounded`. */
export function enterStep(path: string): void {
  step = path;
}

/**
 * Runs work that a tokenizer's file decides on, within a time that grows with the text's length.
 * @throws {TokenizerError} naming the step that ran when the time was over.
 */
export function withStepDeadline<T>(length: number, body: () => T): T {
  const limit = Math.ceil(BASE + PER_CHARACTER * length);
  try {
    return withDeadline(limit, 'tokenizer', body);
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    const [, reason] = error.message.split('tokenizer: ');
    throw new TokenizerError(
      `${step}: ${reason} on a text of ${length} characters. Give it a shorter text, or use another tokenizer.`,
      { cause: error },
    );
  }
}
