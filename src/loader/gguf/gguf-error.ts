import { LoadError } from '../load-error.ts';

/**
 * A GGUF file is malformed, or has contents that are not supported. The message names the file, the key or tensor, the rule and
 * the remedy.
 */
export class GgufError extends LoadError {
  override readonly name = 'GgufError';
}
