import { VitrineError } from '../errors.ts';
import type { Model } from '../engine/model.ts';

/** The text of single tokens; their ids in brackets for a model without a tokenizer. */
export function tokenTexts(model: Model): (token: number) => string {
  try {
    const { tokenizer } = model;
    return (token) => tokenizer.decode([token]);
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    return (token) => `[${token}]`;
  }
}
