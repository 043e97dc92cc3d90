import type { ChannelFormat } from './channels/parser.ts';
import { Bpe, bpeConfig } from './bpe.ts';
import { createDecoder, type DecodeTokens } from './decoding.ts';
import { createEncoder, type Encode, type EncodeOptions } from './encoding.ts';
import { readTokenizerFiles, TokenizerError, type TokenizerFiles } from './files.ts';
import { addedTokens, createPipeline, libraryModel } from './library.ts';
import { DecodeStream, type TokenStream } from './stream.ts';
import { compileTemplate, type ChatMessage, type Template, type TemplateVariables } from './template.ts';
import { isObject } from '../json.ts';
import { checkArgument, checkOptions, PATH, TEXT } from '../options.ts';
import { checkConversation, checkedIds, DECODE_CHECKS, ENCODE_CHECKS, ID } from './arguments.ts';

export interface DecodeOptions {
  /** Leaves special tokens out of the text. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** Tokens without which there is no harmony. */
const HARMONY = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>'];

/** Loads the tokenizer of a model folder: see `readTokenizerFiles` and `Tokenizer`. */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  checkArgument('loadTokenizer', 'the folder', folder, PATH);
  const files = await readTokenizerFiles(folder);
  if (!files) throw new TokenizerError(`${folder}: no tokenizer.json; download it from where the model came from`);
  return new Tokenizer(files);
}

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
  /** Ids that end an answer in the model's format, whatever its configuration says. */
  readonly answerEnds: readonly number[];

  private readonly ids: ReadonlyMap<string, number>;
  private readonly tokens: readonly (string | undefined)[];
  private readonly encodeText: Encode;
  private readonly decodeTokens: DecodeTokens;
  private readonly leading: readonly number[];
  private readonly trailing: readonly number[];
  /** Tokens by the names under which templates use them: `bos_token`, `eos_token` ... */
  private readonly specialTokens: Readonly<Partial<Record<string, string>>>;
  private readonly chatTemplate: (() => Template) | undefined;
  private readonly toolTemplate: (() => Template) | undefined;

  /** @throws {TokenizerError} where tokenizer.json is malformed or has a step that is not known. */
  constructor({ tokenizer, config, chatTemplate, toolTemplate }: TokenizerFiles) {
    const bpe = bpeConfig(tokenizer.model);
    const pipeline = createPipeline(tokenizer, config, bpe !== undefined);
    const model = bpe ? new Bpe(bpe) : libraryModel(pipeline);
    const added = addedTokens(tokenizer);

    const ids = new Map(model.vocab);
    for (const { content, id } of added) ids.set(content, id);
    const tokens: string[] = [];
    for (const [token, id] of ids) tokens[id] = token;
    this.ids = ids;
    this.tokens = tokens;
    this.vocabSize = tokens.length;
    this.specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
    this.addedIds = new Set(added.map(({ id }) => id));
    const speaksHarmony = HARMONY.every((token) => this.specialIds.has(ids.get(token) ?? -1));
    this.answerEnds = speaksHarmony ? ['<|return|>', '<|call|>'].flatMap((token) => ids.get(token) ?? []) : [];
    const thinks = [chatTemplate, toolTemplate].some((template) => template?.includes('</think>'));
    this.channelFormat = speaksHarmony ? 'harmony' : thinks ? 'think' : undefined;
    this.specialTokens = specialTokens(config);
    this.bosId = ids.get(this.specialTokens.bos_token ?? '');
    this.eosId = ids.get(this.specialTokens.eos_token ?? '');
    this.padId = ids.get(this.specialTokens.pad_token ?? '');

    this.encodeText = createEncoder(pipeline, model, added, (token) => ids.get(token));
    this.decodeTokens = createDecoder(pipeline.decoder, tokenizer.decoder);
    const around = this.encodeText('');
    this.leading = config.add_bos_token === true ? missing(this.bosId, around) : [];
    this.trailing = config.add_eos_token === true ? missing(this.eosId, around) : [];
    this.chatTemplate = compileWhenUsed(chatTemplate);
    this.toolTemplate = compileWhenUsed(toolTemplate);
  }

  /** The token ids of a text. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    checkArgument('encode', 'the text', text, TEXT);
    checkOptions('encode', options, ENCODE_CHECKS);
    const ids = this.encodeText(text, options);
    return options.addSpecialTokens === false ? ids : [...this.leading, ...ids, ...this.trailing];
  }

  /** The text of token ids. Ids without a token are left out, and bytes that are not UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    checkOptions('decode', options, DECODE_CHECKS);
    const { skipSpecialTokens = false } = options;
    const tokens: string[] = [];
    for (const id of checkedIds('decode', ids)) {
      const token = this.tokens[id];
      if (token !== undefined && !(skipSpecialTokens && this.specialIds.has(id))) tokens.push(token);
    }
    return this.decodeTokens(tokens);
  }

  /** Decodes ids as they come; the joined pieces are what `decode` gives for all of them. */
  stream(options: DecodeOptions = {}): TokenStream {
    checkOptions('stream', options, DECODE_CHECKS);
    const { skipSpecialTokens = false } = options;
    return new DecodeStream(this.decodeTokens, (id) => {
      checkArgument('stream.push', 'the id', id, ID);
      return skipSpecialTokens && this.specialIds.has(id) ? undefined : this.tokens[id];
    });
  }

  /** The token as the vocabulary spells it (`Ġthe`, `▁the`, `<0x0A>`), or undefined for an id without one. */
  tokenOf(id: number): string | undefined {
    checkArgument('tokenOf', 'the id', id, ID);
    return this.tokens[id];
  }

  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }

  /** Whether `renderChat` can be used. */
  get hasChatTemplate(): boolean {
    return this.chatTemplate !== undefined;
  }

  /** Whether the chat template reads a variable, such as `enable_thinking`; what it does not read, changes nothing. */
  templateReads(variable: string): boolean {
    return this.chatTemplate?.().variables.has(variable) ?? false;
  }

  /** Whether the chat template takes a message's reasoning from a field of its own, rather than out of the content. */
  get templateReadsReasoning(): boolean {
    return this.chatTemplate?.().readsReasoning ?? false;
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
    const template = (variables.tools && this.toolTemplate) ?? this.chatTemplate;
    if (!template) {
      throw new TokenizerError(
        'chat: the model has no chat template; give it a text, or a model tuned for conversations',
      );
    }
    const text = template()(messages, { ...this.specialTokens, ...variables });
    // The template writes BOS itself.
    return { text, tokens: this.encode(text, { addSpecialTokens: false }) };
  }
}

/** A token that the configuration wants and the post-processor does not add already. */
function missing(id: number | undefined, around: readonly number[]): number[] {
  return id === undefined || around.includes(id) ? [] : [id];
}

/** A broken template is no reason to refuse the tokenizer. */
function compileWhenUsed(source: string | undefined): (() => Template) | undefined {
  if (source === undefined) return undefined;
  let compiled: Template | undefined;
  return () => (compiled ??= compileTemplate(source));
}

/** `*_token` of tokenizer_config.json: the spelling, alone or in an object with its stripping rules. */
function specialTokens(config: TokenizerFiles['config']): Partial<Record<string, string>> {
  const found: Partial<Record<string, string>> = {};
  for (const name of ['bos_token', 'eos_token', 'pad_token', 'unk_token', 'sep_token', 'cls_token', 'mask_token']) {
    const value = isObject(config[name]) ? config[name].content : config[name];
    if (typeof value === 'string') found[name] = value;
  }
  return found;
}
