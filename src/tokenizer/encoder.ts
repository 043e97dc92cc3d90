import { addedTokenSplitter, type AddedToken, type Section } from './added-tokens.ts';
import { enterStep } from './step-deadline.ts';
import type { Model } from './models/tokenizer-model.ts';
import type { Normalizer } from './normalizers/normalizer.ts';
import type { PostProcessor } from './post-processor.ts';
import type { PreTokenizer } from './pre-tokenizers/pre-tokenizer.ts';

/** Options of `encode`. */
export interface EncodeOptions {
  /** Whether to add the tokens that the model expects around a text, such as BOS. Default true. */
  readonly addSpecialTokens?: boolean;
  /**
   * Whether the spelling of a special token in the text, such as `<|im_start|>`, becomes that token. Default true, as in
   * transformers. With false, untrusted text cannot forge a turn of the conversation.
   */
  readonly allowSpecial?: boolean;
}

/** Encodes a text. @returns its token ids. */
export type Encode = (text: string, options?: EncodeOptions) => number[];

/** The steps of tokenizer.json from a text to its ids; those that the file lacks are undefined. */
export interface EncoderSteps {
  readonly added: readonly AddedToken[];
  /** The spelling of an added token in normalised text. */
  readonly normalisedSpelling: (token: AddedToken) => string;
  readonly normalizer: Normalizer | undefined;
  readonly preTokenizer: PreTokenizer | undefined;
  readonly model: Model;
  readonly postProcessor: PostProcessor | undefined;
}

/** An encoder that applies added tokens, normalizer, pre-tokenizer, model and post-processor as the Rust crate `tokenizers` does. */
export function createEncoder(steps: EncoderSteps): Encode {
  const { added, normalizer, preTokenizer, model, postProcessor } = steps;
  const splitRaw = addedTokenSplitter(
    added.filter((token) => !token.normalized),
    (token) => token.content,
  );
  const splitNormalised = addedTokenSplitter(
    added.filter((token) => token.normalized),
    steps.normalisedSpelling,
  );

  return (text, { addSpecialTokens = true, allowSpecial = true } = {}) => {
    const ids: number[] = [];
    let isStart = true;
    const encodeSection = (section: Section) => {
      if (typeof section !== 'string') {
        ids.push(section.id);
      } else {
        const words = preTokenizer ? preTokenizer(section, isStart, text.length) : [section];
        enterStep('tokenizer.json: model');
        for (const word of words) {
          if (word !== '') for (const id of model.encode(word)) ids.push(id);
        }
      }
      isStart = false;
    };
    enterStep('tokenizer.json: added_tokens');
    for (const section of splitRaw(text, allowSpecial)) {
      if (typeof section === 'string') {
        const normalised = normalizer ? normalizer(section, text.length) : section;
        splitNormalised(normalised, allowSpecial).forEach(encodeSection);
      } else encodeSection(section);
    }
    return postProcessor ? [...postProcessor(ids, addSpecialTokens)] : ids;
  };
}
