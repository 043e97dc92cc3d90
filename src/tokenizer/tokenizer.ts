import type { ChannelFormat } from './channels/channel-parser.ts';
import { ChatTurns } from './chat-turns.ts';
import type { DecodeTokens } from './decoders/token-decoder.ts';
import type { Encode, EncodeOptions } from './encoder.ts';
import { TokenizerError, type TokenizerFiles } from './tokenizer-files.ts';
import { createPipeline } from './pipeline.ts';
import { DecodeStream, type TokenStream } from './token-stream.ts';
import { compileTemplate, type ChatMessage, type Template, type TemplateVariables } from './chat-template.ts';
import { checkArgument, checkOptions, TEXT } from '../options.ts';
import { checkConversation, checkedIds, DECODE_CHECKS, ENCODE_CHECKS, ID, STREAM_CHECKS } from './argument-checks.ts';

/** Options of `decode`. */
export interface DecodeOptions {
  /** Whether to leave special tokens out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** Options of `stream`. */
export interface StreamOptions extends DecodeOptions {
  /** Ids of a text that the stream continues, and does not return again. Default: none. */
  readonly after?: readonly number[];
}

/** The special tokens by which a vocabulary for harmony is recognised. */
const HARMONY_TOKENS = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>'];

/** Converts text to token ids and back, as a model's tokenizer.json defines it. Agrees with the Rust crate `tokenizers`. */
export class Tokenizer {
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** Id of the token at the beginning of a text; undefined when there is none. */
  readonly bosId: number | undefined;
  /** Id of the token at the end of a text; undefined when there is none. */
  readonly eosId: number | undefined;
  /** Id of the padding token; undefined when there is none. */
  readonly padId: number | undefined;
  /** Ids of special tokens, which `skipSpecialTokens` leaves out. */
  readonly specialIds: ReadonlySet<number>;
  /** Ids of added tokens, which are matched whole in a text: special tokens, and tags such as `<think>`. */
  readonly addedIds: ReadonlySet<number>;
  /** The format that separates the model's reasoning from its answer; undefined for models without reasoning. */
  readonly channelFormat: ChannelFormat | undefined;

  readonly #ids: ReadonlyMap<string, number>;
  readonly #tokens: readonly (string | undefined)[];
  /** By id: the normalised spelling of an added token that is matched in normalised text. The decoder gets this one. */
  readonly #decodedSpellings: ReadonlyMap<number, string>;
  readonly #encodeText: Encode;
  readonly #decodeTokens: DecodeTokens;
  /** Ids that the configuration adds before and after a text. */
  readonly #leading: readonly number[];
  readonly #trailing: readonly number[];
  /** Spellings of named tokens, for templates: `bos_token`, `eos_token` ... */
  readonly #specialTokens: Readonly<Partial<Record<string, string>>>;
  readonly #chatTemplate: (() => Template) | undefined;
  readonly #toolTemplate: (() => Template) | undefined;
  #chatTurns: ChatTurns | undefined;

  /** @throws {TokenizerError} when a file is malformed, has an unknown step, or exceeds a limit. */
  constructor(files: TokenizerFiles) {
    const { config, chatTemplate, toolTemplate } = files;
    const { vocab, added, names, encode, decode, decodedSpellings } = createPipeline(files);
    const ids = new Map(vocab);
    for (const { content, id } of added) ids.set(content, id);
    const tokens: string[] = [];
    for (const [token, id] of ids) tokens[id] = token;
    this.#ids = ids;
    this.#tokens = tokens;
    this.#decodedSpellings = decodedSpellings;
    this.vocabSize = tokens.length;
    this.specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
    this.addedIds = new Set(added.map(({ id }) => id));
    const isHarmony = HARMONY_TOKENS.every((token) => this.specialIds.has(ids.get(token) ?? -1));
    const hasThinkTags = [chatTemplate, toolTemplate].some((template) => template?.includes('</think>'));
    this.channelFormat = isHarmony ? 'harmony' : hasThinkTags ? 'think' : undefined;
    this.#specialTokens = Object.fromEntries(names);
    this.bosId = ids.get(names.get('bos_token') ?? '');
    this.eosId = ids.get(names.get('eos_token') ?? '');
    this.padId = ids.get(names.get('pad_token') ?? '');

    this.#encodeText = encode;
    this.#decodeTokens = decode;
    const around = this.#encodeText('');
    this.#leading = config.add_bos_token === true ? tokenToAdd(this.bosId, around) : [];
    this.#trailing = config.add_eos_token === true ? tokenToAdd(this.eosId, around) : [];
    this.#chatTemplate = compileWhenUsed(chatTemplate);
    this.#toolTemplate = compileWhenUsed(toolTemplate);
  }

  /**
   * The token ids of a text.
   *
   * @throws {OptionError} when an argument has the wrong type.
   * @throws {TokenizerError} when the text needs an unknown token that the vocabulary lacks, or a step exceeds its limits.
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    checkArgument('encode', 'the text', text, TEXT);
    checkOptions('encode', options, ENCODE_CHECKS);
    const ids = this.#encodeText(text, options);
    return options.addSpecialTokens === false ? ids : [...this.#leading, ...ids, ...this.#trailing];
  }

  /**
   * The text of token ids. Ids without a token are left out, and bytes that are not UTF-8 become U+FFFD.
   *
   * @throws {OptionError} when an argument has the wrong type.
   * @throws {TokenizerError} when a step exceeds its limits.
   */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    checkOptions('decode', options, DECODE_CHECKS);
    const { skipSpecialTokens = false } = options;
    const tokens: string[] = [];
    for (const id of checkedIds('decode', ids)) {
      const token = this.#decodedSpelling(id, skipSpecialTokens);
      if (token !== undefined) tokens.push(token);
    }
    return this.#decodeTokens(tokens);
  }

  /**
   * Decodes ids one by one. The joined pieces are what `decode` returns for all ids; with `after`, what it adds to the text
   * of those when it decodes all ids together, so that the space before a word is kept. A character that begins in `after`
   * is returned when the stream completes it.
   *
   * @throws {OptionError} when an option has the wrong type.
   */
  stream(options: StreamOptions = {}): TokenStream {
    checkOptions('stream', options, STREAM_CHECKS);
    const { skipSpecialTokens = false, after } = options;
    const spelling = (id: number): string | undefined => {
      checkArgument('stream.push', 'the id', id, ID);
      return this.#decodedSpelling(id, skipSpecialTokens);
    };
    return new DecodeStream(this.#decodeTokens, spelling, after);
  }

  #decodedSpelling(id: number, skipSpecialTokens: boolean): string | undefined {
    const spelling = this.#decodedSpellings.get(id);
    // The crate recognises special tokens by their content, so it does not skip one whose spelling was normalised.
    if (spelling !== undefined) return spelling;
    return skipSpecialTokens && this.specialIds.has(id) ? undefined : this.#tokens[id];
  }

  /** The spelling of a token in the vocabulary (`Ġthe`, `▁the`, `<0x0A>`); undefined when no token has this id. */
  tokenOf(id: number): string | undefined {
    checkArgument('tokenOf', 'the id', id, ID);
    return this.#tokens[id];
  }

  /** The id of a token as the vocabulary spells it; undefined when there is no such token. */
  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** Which tokens end an answer, and where answers begin. The first use renders the chat template. */
  get turns(): ChatTurns {
    return (this.#chatTurns ??= new ChatTurns(this));
  }

  /** Whether the model has a chat template, which `renderChat` needs. */
  get hasChatTemplate(): boolean {
    return this.#chatTemplate !== undefined;
  }

  /** Whether the chat template reads a variable, such as `enable_thinking`; others have no effect. */
  templateReads(variable: string): boolean {
    return this.#chatTemplate?.().variables.has(variable) ?? false;
  }

  /** Whether the chat template reads a message's reasoning from a separate field rather than from the content. */
  get templateReadsReasoning(): boolean {
    return this.#chatTemplate?.().readsReasoning ?? false;
  }

  /**
   * Renders a conversation with the model's chat template. With `tools`, the template for tools is used if the model has
   * one. The spelling of a special token in a message becomes that token, as in transformers.
   *
   * @returns the text and its token ids.
   * @throws {OptionError} when an argument has the wrong type.
   * @throws {TokenizerError} when the model has no chat template.
   * @throws {TemplateError} when the template is malformed, rejects the messages or exceeds its limits.
   */
  renderChat(messages: readonly ChatMessage[], variables: TemplateVariables = {}): { text: string; tokens: number[] } {
    checkConversation('renderChat', messages, variables);
    const template = (variables.tools && this.#toolTemplate) ?? this.#chatTemplate;
    if (!template) {
      throw new TokenizerError(
        'chat: the model has no chat template; give it a text, or a model tuned for conversations',
      );
    }
    const text = template()(messages, { ...this.#specialTokens, ...variables });
    // The template itself writes BOS.
    return { text, tokens: this.encode(text, { addSpecialTokens: false }) };
  }
}

/** The token to add around a text, unless the post-processor adds it already. */
function tokenToAdd(id: number | undefined, around: readonly number[]): number[] {
  return id === undefined || around.includes(id) ? [] : [id];
}

/** Compiles a template at its first use: the tokenizer works without it if it is malformed. */
function compileWhenUsed(source: string | undefined): (() => Template) | undefined {
  if (source === undefined) return undefined;
  let compiled: Template | undefined;
  return () => (compiled ??= compileTemplate(source));
}
