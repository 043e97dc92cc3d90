import { checkArgument, instanceOf, listOf } from '../options.ts';
import { adjustLogits } from './adjust.ts';
import { checkSamplingOptions, type SamplingOptions } from './sampling-options.ts';
import { truncatedProbabilities } from './truncate.ts';

/**
 * The distribution [V] from which the next token is drawn: `logits` [V] after bias, penalties and temperature
 * (`adjustLogits`), then top-k, top-p, min-p and typical-p (`truncatedProbabilities`), as transformers orders them.
 *
 * @param previousTokens prompt and output so far: what the penalties and the n-gram rule look at.
 * @throws {OptionError} for an option out of range.
 * @throws {NonFiniteLogitsError} when the logits hold NaN or +Infinity, or nothing above -Infinity.
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
