import type { AddedToken } from './added-tokens.ts';
import { withStepDeadline } from './step-deadline.ts';
import { StepBuilder } from './step-builder.ts';
import { createDecoder, type DecodeTokens } from './decoders/token-decoder.ts';
import { createEncoder, type Encode } from './encoder.ts';
import { TokenizerError } from './json-fields.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import { checkGrowth, MAX_TEXT } from './size-limits.ts';
import { createModel } from './models/create-model.ts';
import { createNormalizer, type Normalizer } from './normalizers/normalizer.ts';
import { createPostProcessor } from './post-processor.ts';
import { createPreTokenizer } from './pre-tokenizers/pre-tokenizer.ts';
import { specialTokens, type NewToken } from './special-tokens.ts';

/** A tokenizer's files as functions and tables. */
export interface Pipeline {
  /** Ids of the model's tokens, by spelling; without added tokens. */
  readonly vocab: ReadonlyMap<string, number>;
  /** All added tokens, in the order of the files. */
  readonly added: readonly AddedToken[];
  /** Spellings of named tokens, by name: `eos_token` ... */
  readonly names: ReadonlyMap<string, string>;
  readonly encode: Encode;
  /** Makes text of tokens. */
  readonly decode: DecodeTokens;
  /** By id: the spelling that the decoder gets in place of an added token's content. */
  readonly decodedSpellings: ReadonlyMap<number, string>;
}

/** UTF-16 units. With added tokens up to this length, the time is linear in the text's length. */
const SHORT_TOKEN = 128;
/** UTF-16 units of all added tokens together. */
const MAX_ADDED = 2 ** 21;

/**
 * Builds a tokenizer from its files. A pipeline that is known to take linear time runs as it is, any other under a deadline,
 * which costs 0.1 ms per call.
 *
 * @throws {TokenizerError} when a file is malformed, has an unknown step, or exceeds a limit.
 */
export function createPipeline(files: TokenizerFiles): Pipeline {
  const { tokenizer } = files;
  const builder = new StepBuilder();
  const optional = <T>(name: string, create: (config: unknown) => T): T | undefined =>
    tokenizer[name] === undefined || tokenizer[name] === null ? undefined : create(tokenizer[name]);
  const model = createModel(tokenizer.model, builder);
  const normalizer = optional('normalizer', (config) => createNormalizer(config, builder));
  const preTokenizer = optional('pre_tokenizer', (config) => createPreTokenizer(config, builder));
  const postProcessor = optional('post_processor', (config) => createPostProcessor(config, builder));
  const decoderBuilder = new StepBuilder();
  const decode = createDecoder(tokenizer.decoder, decoderBuilder);

  const { fromTokenizer, fromConfig, named } = specialTokens(files);
  const added = assignIds(model.vocab, [fromTokenizer, fromConfig]);
  if (added.some(({ content }) => content.length > SHORT_TOKEN)) builder.isLinear = false;
  const spell = () => normalisedSpellings(added, normalizer);
  const spellings = builder.isLinear ? spell() : withStepDeadline(MAX_TEXT, spell);
  const normalisedSpelling = ({ id, content }: AddedToken) => spellings.get(id) ?? content;
  const encode = createEncoder({ added, normalisedSpelling, normalizer, preTokenizer, model, postProcessor });
  return {
    vocab: model.vocab,
    added,
    names: named,
    encode: builder.isLinear ? encode : (text, options) => withStepDeadline(text.length, () => encode(text, options)),
    decode: decoderBuilder.isLinear ? decode : (tokens) => withStepDeadline(tokens.length, () => decode(tokens)),
    decodedSpellings: spellings,
  };
}

/**
 * Assigns an id to each added token: that of the vocabulary, or else the next free one after the vocabulary. The ids that
 * the files name are ignored.
 *
 * Source: `AddedVocabulary::add_tokens` of the Rust crate `tokenizers`.
 *
 * @param lists The tokens of each file, in the order in which they are added.
 */
function assignIds(vocab: ReadonlyMap<string, number>, lists: readonly (readonly NewToken[])[]): AddedToken[] {
  const byId = new Map<number, AddedToken>();
  const ids = new Map<string, number>();
  const special = new Set<string>();
  let length = 0;
  for (const list of lists) {
    let next = vocab.size;
    for (const id of byId.keys()) next = Math.max(next, id + 1);
    for (const token of list) {
      const { content } = token;
      if (content === '') continue;
      length += content.length;
      if (length > MAX_ADDED)
        throw new TokenizerError(`tokenizer.json: more than ${MAX_ADDED} characters of added tokens`);
      const id = ids.get(content) ?? vocab.get(content) ?? next++;
      ids.set(content, id);
      // A token that any file calls special is special.
      if (token.special) special.add(content);
      byId.set(id, { ...token, special: special.has(content), id });
    }
  }
  return Array.from(byId.values());
}

/** By id: the spellings of added tokens in normalised text, if the normalizer changes them. */
function normalisedSpellings(
  added: readonly AddedToken[],
  normalizer: Normalizer | undefined,
): ReadonlyMap<number, string> {
  const spellings = new Map<number, string>();
  let [before, after] = [0, 0];
  for (const { id, content, normalized } of added) {
    if (!normalized || !normalizer) continue;
    const spelling = normalizer(content, content.length);
    before += content.length;
    after += spelling.length;
    checkGrowth('tokenizer.json: normalizer', before, after);
    if (spelling !== content) spellings.set(id, spelling);
  }
  return spellings;
}
