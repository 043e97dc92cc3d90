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

/** What tokenizer.json and the files beside it say, ready to run. */
export interface Pipeline {
  /** Ids of the model's tokens. */
  readonly vocab: ReadonlyMap<string, number>;
  readonly added: readonly AddedToken[];
  /** Spellings of tokens by their names: `eos_token` ... */
  readonly names: ReadonlyMap<string, string>;
  readonly encode: Encode;
  readonly decode: DecodeTokens;
  /** By id, what the decoder gets instead of an added token's content. */
  readonly decodedSpellings: ReadonlyMap<number, string>;
}

/** Added tokens up to this length take little time whatever the text. */
const SHORT_TOKEN = 128;
/** UTF-16 units of all added tokens together. */
const MAX_ADDED = 2 ** 21;

/**
 * Builds the steps of tokenizer.json. Patterns and sizes that published tokenizers have run as they are; all others under a
 * deadline, which costs a tenth of a millisecond a call.
 */
export function createPipeline(files: TokenizerFiles): Pipeline {
  const { tokenizer } = files;
  const build = new StepBuilder();
  const optional = <T>(name: string, create: (config: unknown) => T): T | undefined =>
    tokenizer[name] === undefined || tokenizer[name] === null ? undefined : create(tokenizer[name]);
  const model = createModel(tokenizer.model, build);
  const normalizer = optional('normalizer', (config) => createNormalizer(config, build));
  const preTokenizer = optional('pre_tokenizer', (config) => createPreTokenizer(config, build));
  const postProcessor = optional('post_processor', (config) => createPostProcessor(config, build));
  const decoderBuild = new StepBuilder();
  const decode = createDecoder(tokenizer.decoder, decoderBuild);

  const { fromTokenizer, fromConfig, named } = specialTokens(files);
  const added = assignIds(model.vocab, [fromTokenizer, fromConfig]);
  if (added.some(({ content }) => content.length > SHORT_TOKEN)) build.isLinear = false;
  const spell = () => normalisedSpellings(added, normalizer);
  const spellings = build.isLinear ? spell() : withStepDeadline(MAX_TEXT, spell);
  const normalisedSpelling = ({ id, content }: AddedToken) => spellings.get(id) ?? content;
  const encode = createEncoder({ added, normalisedSpelling, normalizer, preTokenizer, model, postProcessor });
  return {
    vocab: model.vocab,
    added,
    names: named,
    encode: build.isLinear ? encode : (text, options) => withStepDeadline(text.length, () => encode(text, options)),
    decode: decoderBuild.isLinear ? decode : (tokens) => withStepDeadline(tokens.length, () => decode(tokens)),
    decodedSpellings: spellings,
  };
}

/**
 * Gives each added token the vocabulary's id, or else the next one after the vocabulary, whatever id the file names.
 * Source: `AddedVocabulary::add_tokens` of the Rust crate `tokenizers`.
 * @param lists - In the order in which they are added.
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
      // Once special, always special.
      if (token.special) special.add(content);
      byId.set(id, { ...token, special: special.has(content), id });
    }
  }
  return Array.from(byId.values());
}

/** By id, the added tokens that the normaliser changes and that are looked for in normalised text. */
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
