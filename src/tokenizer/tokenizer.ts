import type { TokenizerFiles } from './files.ts';

export interface EncodeOptions {
  /** Adds the tokens that the model's post-processor puts around a text, such as BOS. Default true. */
  readonly addSpecialTokens?: boolean;
  /**
   * Whether the spelling of a special token in the text, such as `<|im_start|>`, becomes that token. Default true, as in
   * transformers; false encodes untrusted text so that it cannot pretend to be a turn of its own.
   */
  readonly allowSpecial?: boolean;
}

export interface DecodeOptions {
  /** Leaves special tokens out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** Turns ids into text as they come, never showing half a character. */
export interface TokenStream {
  /** The text that became certain with this token: '' while a character is incomplete. */
  push(id: number): string;
  /** What was still held back. */
  end(): string;
}

/** A message of a conversation. Templates read further fields, such as `tool_calls` or `reasoning_content`. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

export interface ChatOptions {
  /** Tools as JSON schemas, for templates that list them. */
  readonly tools?: readonly unknown[] | undefined;
  /** Ends the text with the start of the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** The time that `strftime_now` shows. Default: the current time. */
  readonly now?: Date;
  /** Further variables, by the names that the template uses: `enable_thinking`, `bos_token` ... */
  readonly [variable: string]: unknown;
}

/** Text to token ids and back, as `tokenizer.json` says. */
export interface Tokenizer {
  /** One more than the largest id. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** Ids that `skipSpecialTokens` leaves out. */
  readonly specialIds: ReadonlySet<number>;
  encode(text: string, options?: EncodeOptions): number[];
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  stream(options?: DecodeOptions): TokenStream;
  /** The token as the vocabulary spells it (`Ġthe`, `▁the`, `<0x0A>`), or undefined for an id without one. */
  tokenOf(id: number): string | undefined;
  idOf(token: string): number | undefined;
  /** The conversation as the model's chat template writes it, and its tokens. */
  renderChat(messages: readonly ChatMessage[], options?: ChatOptions): { text: string; tokens: number[] };
}

/** Loads the tokenizer of a model folder. */
export declare function loadTokenizer(folder: string): Promise<Tokenizer>;
/** Makes a tokenizer from its parsed files. */
export declare function createTokenizer(files: TokenizerFiles): Tokenizer;
