import { VitrineError } from '../errors.ts';

/** A step of the set-up failed. The message says what is missing and how to get it. */
export class SetupError extends VitrineError {
  override readonly name = 'SetupError';
}
