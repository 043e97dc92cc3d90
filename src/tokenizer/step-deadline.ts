import { DeadlineError, withDeadline } from '../platform/deadline.ts';
import { TokenizerError } from './json-fields.ts';

/** Milliseconds for any text, and for each of its characters: ten times what published pipelines need on a slow machine. */
const BASE_MS = 1000;
const MS_PER_CHARACTER = 0.01;

let currentStep = 'tokenizer.json';

/** Records the step of tokenizer.json that runs from now on; the error of `withStepDeadline` names it. */
export function enterStep(path: string): void {
  currentStep = path;
}

/**
 * Runs steps of tokenizer.json whose time may be worse than linear in the text's length, under a deadline that is linear.
 *
 * @param length The text's length in UTF-16 units.
 * @throws {TokenizerError} when the deadline passes; it names the step that was running.
 */
export function withStepDeadline<T>(length: number, body: () => T): T {
  const limit = Math.ceil(BASE_MS + MS_PER_CHARACTER * length);
  try {
    return withDeadline(limit, 'tokenizer', body);
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    const [, reason] = error.message.split('tokenizer: ');
    throw new TokenizerError(
      `${currentStep}: ${reason} on a text of ${length} characters. Give it a shorter text, or use another tokenizer.`,
      { cause: error },
    );
  }
}
