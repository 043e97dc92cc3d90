import { VitrineError } from '../../errors.ts';

/** Weights that do not fit the model: a tensor is missing, has another shape, or is not one that the model knows. */
export class CheckpointError extends VitrineError {
  override readonly name = 'CheckpointError';
}
