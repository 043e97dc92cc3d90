import type { Json } from '../../json.ts';
import { quote } from '../../quote.ts';
import type { TokenizerFiles } from '../../tokenizer/tokenizer-files.ts';
import type { Metadata } from './metadata.ts';
import { PRE_TOKENIZERS } from './pre-tokenizers.ts';
import { mergesFromScores } from './merges.ts';

const TOKENS = 'tokenizer.ggml.tokens';
/** Twice the size of the largest published vocabularies. */
const MAX_TOKENS = 2 ** 19;
/**
 * The longest token in characters, since finding its merges takes time in the square of its length; SentencePiece's default is
 * 16.
 */
const MAX_PIECE = 128;
const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/**
 * tokenizer.json and tokenizer_config.json from the metadata of a GGUF file; undefined where the file has no tokenizer.
 * Two kinds are supported: `gpt2` (byte-level BPE) and `llama` (SentencePiece's BPE with byte fallback).
 * @throws {GgufError} when the tokenizer is of another kind, or a key is missing or malformed
 */
export function ggufTokenizer(metadata: Metadata): TokenizerFiles | undefined {
  const model = metadata.get('text', 'tokenizer.ggml.model');
  if (model === undefined || model === 'no_vocab') return undefined;
  const build = model === 'gpt2' ? byteLevelBpe : model === 'llama' ? sentencePieceBpe : undefined;
  if (build === undefined) {
    return metadata.fail(
      'tokenizer.ggml.model',
      `expected gpt2 or llama, got ${quote(model)}`,
      'Use the safetensors version of the model, which has its tokenizer.json.',
    );
  }
  const vocabulary = readVocabulary(metadata);
  const { addBos, ...parts } = build(metadata, vocabulary);
  const special = specialTokens(metadata, vocabulary.tokens);
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    ...parts,
    post_processor: postProcessor(metadata, special, addBos),
  };
  const chatTemplate = metadata.get('text', 'tokenizer.chat_template');
  const toolTemplate = metadata.get('text', 'tokenizer.chat_template.tool_use');
  const architecture = metadata.need('text', 'general.architecture');
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    clean_up_tokenization_spaces: false,
    model_max_length: metadata.get('integer', `${architecture}.context_length`),
    ...Object.fromEntries([...special].map(([name, { token }]) => [`${name}_token`, token])),
    ...templates(chatTemplate, toolTemplate),
  };
  return { tokenizer, config, chatTemplate, toolTemplate };
}

/** `chat_template` of tokenizer_config.json: a list of two where there is a template for conversations with tools. */
function templates(chat: string | undefined, toolUse: string | undefined): Json {
  if (toolUse === undefined) return chat === undefined ? {} : { chat_template: chat };
  const named = Object.entries({ default: chat, tool_use: toolUse });
  return { chat_template: named.flatMap(([name, template]) => (template === undefined ? [] : [{ name, template }])) };
}

interface Vocabulary {
  /** Tokens by id. */
  readonly tokens: readonly string[];
  /** `token_type` by id; empty where the file does not state types, so that all tokens are normal. */
  readonly types: readonly number[];
  readonly ids: ReadonlyMap<string, number>;
}

interface TokenizerParts {
  readonly normalizer: Json | null;
  readonly pre_tokenizer: Json | null;
  readonly decoder: Json;
  readonly model: Json;
  /** Whether BOS precedes a text when the file does not say. */
  readonly addBos: boolean;
}

function readVocabulary(metadata: Metadata): Vocabulary {
  const tokens = metadata.need('texts', TOKENS);
  if (tokens.length > MAX_TOKENS) metadata.fail(TOKENS, `expected at most ${MAX_TOKENS} tokens, got ${tokens.length}`);
  const types = metadata.get('numbers', 'tokenizer.ggml.token_type') ?? [];
  if (types.length !== 0 && types.length !== tokens.length) {
    metadata.fail(
      'tokenizer.ggml.token_type',
      `expected ${tokens.length} entries, one for each token, got ${types.length}`,
    );
  }
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    // llama.cpp's conversion fills the gaps of the published vocabulary with such tokens.
    if (types[id] === TYPE.unused && token === `[PAD${id}]`) continue;
    const other = ids.get(token);
    if (other !== undefined)
      metadata.fail(TOKENS, `expected different tokens, got ${quote(token)} as ${other} and as ${id}`);
    ids.set(token, id);
  }
  return { tokens, types, ids };
}

function byteLevelBpe(metadata: Metadata, { ids }: Vocabulary): TokenizerParts {
  const name = metadata.get('text', 'tokenizer.ggml.pre') ?? 'default';
  const pre = PRE_TOKENIZERS.get(name);
  if (pre === undefined) {
    const known = [...PRE_TOKENIZERS.keys()].join(', ');
    return metadata.fail(
      'tokenizer.ggml.pre',
      `expected one of ${known}, got ${quote(name)}`,
      'Use the safetensors version of the model, which has its tokenizer.json.',
    );
  }
  const merges = metadata.need('texts', 'tokenizer.ggml.merges').map((merge) => {
    const space = merge.indexOf(' ', 1);
    const pair = [merge.slice(0, space), merge.slice(space + 1)];
    if (space < 0 || !pair.every((part) => ids.has(part)) || !ids.has(pair.join(''))) {
      metadata.fail('tokenizer.ggml.merges', `expected two tokens that join to a third, got ${quote(merge)}`);
    }
    return pair;
  });
  return {
    normalizer: pre.normalizer,
    pre_tokenizer: pre.preTokenizer,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      ...BPE_DEFAULTS,
      ignore_merges: pre.ignoreMerges,
      vocab: Object.fromEntries(ids),
      merges,
    },
    addBos: pre.addBos,
  };
}

function sentencePieceBpe(metadata: Metadata, { tokens, types, ids }: Vocabulary): TokenizerParts {
  const scores = metadata.need('numbers', 'tokenizer.ggml.scores');
  if (scores.length !== tokens.length) {
    metadata.fail(
      'tokenizer.ggml.scores',
      `expected ${tokens.length} entries, one for each token, got ${scores.length}`,
    );
  }
  const isMergeable = (id: number) => types.length === 0 || types[id] === TYPE.normal;
  for (const [id, token] of tokens.entries()) {
    if (types[id] === TYPE.byte && !/^<0x[0-9A-F]{2}>$/.test(token)) {
      metadata.fail(TOKENS, `token ${id} has the type of a byte: expected a name such as <0x0A>, got ${quote(token)}`);
    }
    if (isMergeable(id) && token.length > MAX_PIECE)
      metadata.fail(TOKENS, `token ${id}: expected at most ${MAX_PIECE} characters, got ${quote(token)}`);
  }
  const addSpace = metadata.get('flag', 'tokenizer.ggml.add_space_prefix') ?? true;
  const unknown = metadata.get('integer', 'tokenizer.ggml.unknown_token_id') ?? types.indexOf(TYPE.unknown);
  const toMark = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const toSpace = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 };
  return {
    normalizer: addSpace ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, toMark] } : toMark,
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [toSpace, { type: 'ByteFallback' }, { type: 'Fuse' }, ...(addSpace ? [strip] : [])],
    },
    model: {
      type: 'BPE',
      ...BPE_DEFAULTS,
      unk_token: tokens[unknown] ?? null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(ids),
      merges:
        mergesFromScores(ids, scores, isMergeable) ??
        metadata.fail(TOKENS, 'expected no more merges than published vocabularies have, got more'),
    },
    addBos: true,
  };
}

const BPE_DEFAULTS = {
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
};

/** Tokens that are found in a text before other tokens: control and unknown tokens, which are special, and user-defined ones. */
function addedTokens({ tokens, types }: Vocabulary): Json[] {
  return types.flatMap((type, id) =>
    type === TYPE.control || type === TYPE.unknown || type === TYPE.userDefined
      ? [
          {
            id,
            content: tokens[id],
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: type !== TYPE.userDefined,
          },
        ]
      : [],
  );
}

interface SpecialToken {
  readonly id: number;
  readonly token: string;
}

type SpecialTokens = ReadonlyMap<string, SpecialToken>;

/** The tokens of `bos`, `eos`, `pad` and `unk`, where the file states their ids. */
function specialTokens(metadata: Metadata, tokens: readonly string[]): SpecialTokens {
  const found = new Map<string, SpecialToken>();
  for (const [name, key] of Object.entries({ bos: 'bos', eos: 'eos', pad: 'padding', unk: 'unknown' })) {
    const id = metadata.get('integer', `tokenizer.ggml.${key}_token_id`);
    if (id === undefined) continue;
    if (id >= tokens.length)
      metadata.fail(
        `tokenizer.ggml.${key}_token_id`,
        `expected an id below ${tokens.length}, the number of tokens, got ${id}`,
      );
    found.set(name, { id, token: tokens[id] });
  }
  return found;
}

/** The post-processor that puts BOS before or EOS after a text; null where the file asks for neither. */
function postProcessor(metadata: Metadata, special: SpecialTokens, addBos: boolean): Json | null {
  const bos = (metadata.get('flag', 'tokenizer.ggml.add_bos_token') ?? addBos) ? special.get('bos') : undefined;
  const eos = metadata.get('flag', 'tokenizer.ggml.add_eos_token') ? special.get('eos') : undefined;
  const around = (sequence: string) => {
    const tokenOf = (it: SpecialToken | undefined) =>
      it === undefined ? [] : [{ SpecialToken: { id: it.token, type_id: 0 } }];
    return [...tokenOf(bos), { Sequence: { id: sequence, type_id: 0 } }, ...tokenOf(eos)];
  };
  const used = [bos, eos].filter((it) => it !== undefined);
  if (used.length === 0) return null;
  return {
    type: 'TemplateProcessing',
    single: around('A'),
    pair: [...around('A'), ...around('B')],
    special_tokens: Object.fromEntries(used.map(({ id, token }) => [token, { id: token, ids: [id], tokens: [token] }])),
  };
}
