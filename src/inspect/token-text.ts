import { VitrineError } from '../errors.ts';
import type { Model } from '../engine/model.ts';

/** Gives the text of tokens; their ids in brackets for a model without a tokenizer. */
export function tokenTexts(model: Model): (tokens: readonly number[]) => string {
  try {
    const { tokenizer } = model;
    return (tokens) => tokenizer.decode(tokens);
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    return (tokens) => tokens.map((token) => `[${token}]`).join('');
  }
}
