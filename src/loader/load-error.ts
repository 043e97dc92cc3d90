import { VitrineError } from '../errors.ts';

/**
 * A file of a model is missing, unreadable, malformed or of another kind than asked for. The message says which, and what to
 * do.
 */
export class LoadError extends VitrineError {
  override readonly name: string = 'LoadError';
}
