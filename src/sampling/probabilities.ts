import { checkArgument, instanceOf, listOf } from '../options.ts';
import { adjustLogits } from './adjust.ts';
import { checkSamplingOptions, type SamplingOptions } from './sampling-options.ts';
import { truncatedProbabilities } from './truncate.ts';

/**
 * The distribution `[V]` from which the next token is drawn: `logits` `[V]` after bias, penalties and temperature
 * (`adjustLogits`), then top-k, top-p, min-p and typical-p (`truncatedProbabilities`), in transformers' order.
 *
 * @param previousTokens Ids of prompt and output so far, which the penalties and the n-gram rule read. Default: none.
 * @throws {OptionError} for an argument of another type, or an option out of range.
 * @throws {VitrineError} for a previous token that is not below V, if a penalty reads it.
 * @throws {NonFiniteLogitsError} when the logits hold NaN or +Infinity, or no number above -Infinity.
 */
export function probabilities(
  logits: Float32Array,
  options: SamplingOptions = {},
  previousTokens: readonly number[] = [],
): Float32Array {
  checkArgument('probabilities', 'logits', logits, instanceOf(Float32Array, 'a Float32Array'));
  checkArgument('probabilities', 'previousTokens', previousTokens, listOf('token ids', Number.isSafeInteger));
  checkSamplingOptions('probabilities', options, logits.length);
  return truncatedProbabilities(adjustLogits(logits, options, previousTokens), options);
}
