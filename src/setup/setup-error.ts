import { VitrineError } from '../errors.ts';

/** A step of the set-up that could not be done; the message says what is missing and how to get it. */
export class SetupError extends VitrineError {
  override readonly name = 'SetupError';
}
