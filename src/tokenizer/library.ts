import * as huggingface from '@huggingface/tokenizers';
import type { Model } from './encoding.ts';
import { TokenizerError, type TokenizerFiles } from './files.ts';
import { isObject } from '../json.ts';

/**
 * The parts of `@huggingface/tokenizers` that are used, described here because its own declarations do not resolve in
 * ES modules. A text runs through normalizer, pre-tokenizer, model and post-processor; ids run back through the decoder.
 */
export interface Pipeline {
  readonly normalizer: ((text: string) => string) | null;
  readonly pre_tokenizer: PreTokenizer | null;
  readonly model: ((words: string[]) => string[]) & {
    tokens_to_ids: Map<string, number>;
    unk_token_id?: number;
  };
  readonly post_processor: ((tokens: unknown[], pair: null, special: boolean) => { tokens: unknown[] }) | null;
  readonly decoder: Decoder | null;
}

interface PreTokenizer {
  (text: string, options: { section_index: number }): string[];
  pattern: RegExp;
  pre_tokenize_text(text: string, options: unknown): string[];
  readonly tokenizers: PreTokenizer[];
}

interface Decoder {
  decode_chain(tokens: string[]): string[];
  readonly decoders: Decoder[];
}

const { Tokenizer } = huggingface as unknown as { Tokenizer: new (tokenizer: object, config: object) => Pipeline };

/** An entry of `added_tokens` in tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Found in the normalised text rather than in the text as given. */
  readonly normalized: boolean;
  /** Found only where no letter or digit touches it. */
  readonly single_word: boolean;
  /** Takes the white space before it along. */
  readonly lstrip: boolean;
  /** Takes the white space after it along. */
  readonly rstrip: boolean;
}

const MAX_ID = 2 ** 22;

const EMPTY_MODEL = { type: 'BPE', vocab: {}, merges: [] };

/** @param ownModel Leaves the library's model empty, because ours is used in its place. */
export function createPipeline(
  tokenizer: TokenizerFiles['tokenizer'],
  config: TokenizerFiles['config'],
  ownModel: boolean,
): Pipeline {
  const steps = Object.fromEntries(
    ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'].map((step) => [step, tokenizer[step] ?? null]),
  );
  let pipeline: Pipeline;
  try {
    const model = ownModel ? EMPTY_MODEL : tokenizer.model;
    pipeline = new Tokenizer(
      { added_tokens: addedTokens(tokenizer), ...steps, model },
      { eos_token: config.eos_token },
    );
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    throw new TokenizerError(`tokenizer.json: ${(error as Error).message}`, { cause: error });
  }
  if (pipeline.pre_tokenizer) repair(pipeline.pre_tokenizer, steps.pre_tokenizer);
  return pipeline;
}

/** The library's own model, for the kinds that are not ours: Unigram, WordPiece. */
export function libraryModel({ model }: Pipeline): Model {
  const vocab = model.tokens_to_ids;
  return { vocab, encode: (word) => model([word]).flatMap((token) => vocab.get(token) ?? model.unk_token_id ?? []) };
}

export function addedTokens(tokenizer: TokenizerFiles['tokenizer']): AddedToken[] {
  const tokens = tokenizer.added_tokens ?? [];
  if (!Array.isArray(tokens)) throw new TokenizerError('tokenizer.json: expected added_tokens to be a list');
  return (tokens as unknown[]).map((token, i) => {
    if (!isObject(token) || typeof token.content !== 'string' || !isTokenId(token.id)) {
      throw new TokenizerError(`tokenizer.json: expected added_tokens[${i}] to have a string content and an id`);
    }
    const special = token.special === true;
    return {
      id: token.id,
      content: token.content,
      special,
      normalized: typeof token.normalized === 'boolean' ? token.normalized : !special,
      single_word: token.single_word === true,
      lstrip: token.lstrip === true,
      rstrip: token.rstrip === true,
    };
  });
}

export function isTokenId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < MAX_ID;
}

/** GPT-2's pattern, with Unicode's white space: JavaScript's `\s` takes U+FEFF for a space and U+0085 for none. */
const WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** Makes the library's pre-tokenizers split where the reference implementation (the Rust crate `tokenizers`) does. */
function repair(step: PreTokenizer, config: unknown): void {
  if (!isObject(config)) return;
  switch (config.type) {
    case 'Sequence':
      (config.pretokenizers as unknown[]).forEach((part, i) => {
        repair(step.tokenizers[i], part);
      });
      break;
    case 'ByteLevel':
      step.pattern = WORDS;
      break;
    case 'Digits': // The library takes ASCII digits only.
      step.pattern = config.individual_digits === true ? /\P{N}+|\p{N}/gu : /\P{N}+|\p{N}+/gu;
      break;
    case 'Metaspace': // The library never splits at the replaced spaces.
      if (config.split !== false) {
        const whole = step.pre_tokenize_text.bind(step);
        const space = typeof config.replacement === 'string' ? config.replacement : '▁';
        step.pre_tokenize_text = (text, options) => whole(text, options).flatMap((part) => splitBefore(part, space));
      }
  }
}

function splitBefore(text: string, mark: string): string[] {
  return text.split(mark).flatMap((part, i) => (i > 0 ? [mark + part] : part === '' ? [] : [part]));
}
