/** The parsed files that make a tokenizer, whether they came from a folder or from GGUF metadata. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: Readonly<Record<string, unknown>>;
  /** tokenizer_config.json; empty where there is none. */
  readonly config: Readonly<Record<string, unknown>>;
  /** chat_template.jinja, or `chat_template` of tokenizer_config.json. */
  readonly chatTemplate: string | undefined;
}
