/** The model of a tokenizer: a vocabulary, and a rule that cuts words into its tokens. */
export interface Model {
  /** Token ids by spelling. */
  readonly vocab: ReadonlyMap<string, number>;
  /**
   * The token ids of a word.
   *
   * @throws {TokenizerError} when the word needs an unknown token and the vocabulary has none.
   */
  encode(word: string): readonly number[];
}
