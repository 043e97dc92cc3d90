import { quote } from '../../quote.ts';
import type { Metadata } from './metadata.ts';

/** Keys of an architecture that do not affect results, or that the shapes of the tensors state as well. */
const HARMLESS = new Set([
  'vocab_size',
  'attention.value_length',
  'attention.layer_norm_epsilon',
  'expert_feed_forward_length',
  'expert_shared_feed_forward_length',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.scaling.finetuned',
  'pooling_type',
  'tensor_data_layout',
]);

const SHOWN = 8;

/** A note that names the architecture's keys that were not read, and that may change results in llama.cpp; else no note. */
export function noteOnUnknownKeys(metadata: Metadata): string[] {
  const prefix = `${metadata.need('text', 'general.architecture')}.`;
  const unknown = metadata.unread(prefix).filter((key) => !HARMLESS.has(key.slice(prefix.length)));
  if (unknown.length === 0) return [];
  const more = unknown.length > SHOWN ? ` and ${unknown.length - SHOWN} more` : '';
  return [`metadata keys that are not supported are ignored: ${unknown.slice(0, SHOWN).map(quote).join(', ')}${more}.`];
}
