import { addedTokenSplitter, type Section } from './added-tokens.ts';
import type { AddedToken, Pipeline } from './library.ts';

/** The vocabulary, and how a word of it is cut into tokens. */
export interface Model {
  readonly vocab: ReadonlyMap<string, number>;
  encode(word: string): readonly number[];
}

export interface EncodeOptions {
  /** Adds the tokens that the model expects around a text, such as BOS. Default true. */
  readonly addSpecialTokens?: boolean;
  /**
   * Whether the spelling of a special token in the text, such as `<|im_start|>`, becomes that token. Default true, as in
   * transformers; false encodes untrusted text so that it cannot pretend to be a turn of its own.
   */
  readonly allowSpecial?: boolean;
}

export type Encode = (text: string, options?: EncodeOptions) => number[];

/** Added tokens, normalizer, pre-tokenizer, model and post-processor, in the order of the reference implementation. */
export function createEncoder(
  pipeline: Pipeline,
  model: Model,
  added: readonly AddedToken[],
  idOf: (token: string) => number | undefined,
): Encode {
  const { normalizer, pre_tokenizer: preTokenizer, post_processor: postProcessor } = pipeline;
  const normalise = (text: string) => (normalizer ? normalizer(text) : text);
  const splitRaw = addedTokenSplitter(
    added.filter((token) => !token.normalized),
    (token) => token.content,
  );
  const splitNormalised = addedTokenSplitter(
    added.filter((token) => token.normalized),
    (token) => normalise(token.content),
  );

  return (text, { addSpecialTokens = true, allowSpecial = true } = {}) => {
    const ids: number[] = [];
    let atStart = true;
    const encodeSection = (section: Section) => {
      if (typeof section !== 'string') {
        ids.push(section.id);
      } else {
        // The library asks for the index only to know whether this is the text's beginning.
        const words = preTokenizer ? preTokenizer(section, { section_index: atStart ? 0 : 1 }) : [section];
        for (const word of words) for (const id of model.encode(word)) ids.push(id);
      }
      atStart = false;
    };
    for (const section of splitRaw(text, allowSpecial)) {
      if (typeof section === 'string') splitNormalised(normalise(section), allowSpecial).forEach(encodeSection);
      else encodeSection(section);
    }
    if (!postProcessor) return ids;
    // It moves our ids as they are, and adds the tokens of its own as strings.
    return postProcessor(ids, null, addSpecialTokens).tokens.flatMap((item) =>
      typeof item === 'number' ? [item] : (idOf(item as string) ?? []),
    );
  };
}
