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

/** How ids become text. */
export interface DecodeOptions {
  /** Leaves special tokens out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** How ids become text as they come. */
export interface StreamOptions extends DecodeOptions {
  /** Ids of the text that the stream goes on with, which is not given out again. Default: none. */
  readonly after?: readonly number[];
}

/** Tokens without which there is no harmony. */
const HARMONY = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>'];

/** Text to token ids and back, as tokenizer.json says, in agreement with the Rust crate `tokenizers`. */
export class Tokenizer {
  /** One more than the largest id. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** Ids that `skipSpecialTokens` leaves out. */
  readonly specialIds: ReadonlySet<number>;
  /** Ids of all tokens that are found whole in a text, special ones and tags such as `<think>`. */
  readonly addedIds: ReadonlySet<number>;
  /** How the model tells what it thinks from what it says; undefined where it only says. */
  readonly channelFormat: ChannelFormat | undefined;

  readonly #ids: ReadonlyMap<string, number>;
  readonly #tokens: readonly (string | undefined)[];
  /** What the decoder gets for an added token that is found in normalised text: the token normalised. */
  readonly #decodedSpellings: ReadonlyMap<number, string>;
  readonly #encodeText: Encode;
  readonly #decodeTokens: DecodeTokens;
  readonly #leading: readonly number[];
  readonly #trailing: readonly number[];
  /** Tokens by the names under which templates use them: `bos_token`, `eos_token` ... */
  readonly #specialTokens: Readonly<Partial<Record<string, string>>>;
  readonly #chatTemplate: (() => Template) | undefined;
  readonly #toolTemplate: (() => Template) | undefined;
  #chatTurns: ChatTurns | undefined;

  /** @throws {TokenizerError} where one of the files is malformed or has a step that is not known. */
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
    const speaksHarmony = HARMONY.every((token) => this.specialIds.has(ids.get(token) ?? -1));
    const thinks = [chatTemplate, toolTemplate].some((template) => template?.includes('</think>'));
    this.channelFormat = speaksHarmony ? 'harmony' : thinks ? 'think' : undefined;
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

  /** The token ids of a text. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    checkArgument('encode', 'the text', text, TEXT);
    checkOptions('encode', options, ENCODE_CHECKS);
    const ids = this.#encodeText(text, options);
    return options.addSpecialTokens === false ? ids : [...this.#leading, ...ids, ...this.#trailing];
  }

  /** The text of token ids. Ids without a token are left out, and bytes that are not UTF-8 become U+FFFD. */
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
   * Decodes ids as they come; the joined pieces are what `decode` gives for all of them, or what it gives for them behind
   * `after`: the space before a word then stays. A character that `after` began, and the ids complete, is theirs.
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
    // The crate knows special tokens by their content, and does not know one again whose spelling was normalised.
    if (spelling !== undefined) return spelling;
    return skipSpecialTokens && this.specialIds.has(id) ? undefined : this.#tokens[id];
  }

  /** The token as the vocabulary spells it (`Ġthe`, `▁the`, `<0x0A>`), or undefined for an id without one. */
  tokenOf(id: number): string | undefined {
    checkArgument('tokenOf', 'the id', id, ID);
    return this.#tokens[id];
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  /** How conversations are cut into turns. Known from the chat template, which runs at the first use. */
  get turns(): ChatTurns {
    return (this.#chatTurns ??= new ChatTurns(this));
  }

  /** Whether `renderChat` can be used. */
  get hasChatTemplate(): boolean {
    return this.#chatTemplate !== undefined;
  }

  /** Whether the chat template reads a variable, such as `enable_thinking`; what it does not read, changes nothing. */
  templateReads(variable: string): boolean {
    return this.#chatTemplate?.().variables.has(variable) ?? false;
  }

  /** Whether the chat template takes a message's reasoning from a field of its own, rather than out of the content. */
  get templateReadsReasoning(): boolean {
    return this.#chatTemplate?.().readsReasoning ?? false;
  }

  /**
   * The conversation as the model's chat template writes it, and its tokens. Where `tools` are given and the model has a
   * template for them, that one is used. Special tokens spelled in a message become those tokens, as in transformers.
   *
   * @throws {TokenizerError} where the model has no chat template.
   * @throws {TemplateError} where the template refuses the messages or fails.
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
    // The template writes BOS itself.
    return { text, tokens: this.encode(text, { addSpecialTokens: false }) };
  }
}

/** A token that the configuration wants and the post-processor does not add already. */
function tokenToAdd(id: number | undefined, around: readonly number[]): number[] {
  return id === undefined || around.includes(id) ? [] : [id];
}

/** A broken template is no reason to refuse the tokenizer. */
function compileWhenUsed(source: string | undefined): (() => Template) | undefined {
  if (source === undefined) return undefined;
  let compiled: Template | undefined;
  return () => (compiled ??= compileTemplate(source));
}
