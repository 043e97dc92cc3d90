import { VitrineError } from '../../errors.ts';

/** A model configuration that cannot be run: a field is missing, malformed, out of range or not supported. */
export class ConfigError extends VitrineError {
  override readonly name = 'ConfigError';
}
