/** A longer message is cut: people are to read it in a terminal. */
const MOST_CHARACTERS = 1800;

/** An error that a user can act on. Its message says what was expected, what came, where, and what to do. */
export class VitrineError extends Error {
  override readonly name: string = 'VitrineError';

  constructor(message: string, options?: ErrorOptions) {
    // It may hold long names and values from a file.
    super(message.length > MOST_CHARACTERS ? `${message.slice(0, MOST_CHARACTERS)} …` : message, options);
  }
}

/** An op was given shapes or dtypes that it does not take. */
export class ShapeError extends VitrineError {
  override readonly name = 'ShapeError';
}

/** A tensor, model or cache was used after it was freed. */
export class DisposedError extends VitrineError {
  override readonly name = 'DisposedError';
}
