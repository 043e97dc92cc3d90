import { VitrineError } from '../../errors.ts';

/** A model could not be brought from the Hugging Face hub. */
export class HubError extends VitrineError {
  override readonly name: string = 'HubError';
}

/** The hub gives no answer: no route, no name, refused, or failing again and again. Files in the cache stay usable. */
export class HubUnreachableError extends HubError {
  override readonly name = 'HubUnreachableError';
}
