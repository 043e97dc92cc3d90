import { VitrineError } from '../errors.ts';

/** A hook that the model does not have, or a value that does not fit where it is to go. */
export class HookError extends VitrineError {
  override readonly name = 'HookError';
}
