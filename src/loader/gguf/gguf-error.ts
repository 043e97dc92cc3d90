import { LoadError } from '../load-error.ts';

/** A GGUF file that cannot be used: the message names the file, the key or tensor, the broken rule and the remedy. */
export class GgufError extends LoadError {
  override readonly name = 'GgufError';
}
