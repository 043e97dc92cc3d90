import { VitrineError } from '../errors.ts';

/** The files of a model cannot be read: missing, unreadable, malformed or not what was asked for. */
export class LoadError extends VitrineError {
  override readonly name: string = 'LoadError';
}
