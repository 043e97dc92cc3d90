import { VitrineError } from '../../tensor/errors.ts';

/** A model could not be brought from the Hugging Face hub. */
export class HubError extends VitrineError {
  override readonly name = 'HubError';
}
