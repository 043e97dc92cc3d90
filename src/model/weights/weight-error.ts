import { VitrineError } from '../../errors.ts';

/** A weight that the model does not have, or an edit of weights that does not fit. */
export class WeightError extends VitrineError {
  override readonly name = 'WeightError';
}
