import { VitrineError } from '../../errors.ts';

/** A model could not be downloaded from the Hugging Face hub. The message says why, and what to do. */
export class HubError extends VitrineError {
  override readonly name: string = 'HubError';
}

/**
 * The hub does not answer: its name is unknown, the connection is refused, or several attempts have failed. Models in the cache
 * can still be used.
 */
export class HubUnreachableError extends HubError {
  override readonly name = 'HubUnreachableError';
}
