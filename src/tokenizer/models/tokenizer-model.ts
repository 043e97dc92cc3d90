/** The vocabulary, and how a word of it is cut into tokens. */
export interface Model {
  readonly vocab: ReadonlyMap<string, number>;
  /** The token ids of a word. @throws {TokenizerError} where it needs an unknown token and the model has none. */
  encode(word: string): readonly number[];
}
