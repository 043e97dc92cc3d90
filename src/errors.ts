/** Of a message: it is to be read, and fits a terminal. */
const MOST_CHARACTERS = 1800;

/** An error that a user can act on: its message says what was expected, what came, where, and what to do. */
export class VitrineError extends Error {
  override readonly name: string = 'VitrineError';

  constructor(message: string, options?: ErrorOptions) {
    // Names and values in it may come from a file.
    super(message.length > MOST_CHARACTERS ? `${message.slice(0, MOST_CHARACTERS)} …` : message, options);
  }
}

/** Shapes or dtypes that an operation cannot take. */
export class ShapeError extends VitrineError {
  override readonly name = 'ShapeError';
}

/** A tensor, model or cache was used after it was freed. */
export class DisposedError extends VitrineError {
  override readonly name = 'DisposedError';
}
