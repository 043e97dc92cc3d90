/** An error that a user can act on: its message says what was expected, what came, where, and what to do. */
export class VitrineError extends Error {
  override readonly name: string = 'VitrineError';
}

/** Shapes or dtypes that an operation cannot take. */
export class ShapeError extends VitrineError {
  override readonly name = 'ShapeError';
}

/** A tensor, model or cache was used after it was freed. */
export class DisposedError extends VitrineError {
  override readonly name = 'DisposedError';
}
