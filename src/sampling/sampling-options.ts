import { type Check, type Checks, checkOptions, isRecord, numbers, whole } from '../options.ts';

/** How the next token is chosen. An absent option is off; without options, tokens are drawn from the model's distribution. */
export interface SamplingOptions {
  /** Divides the logits; 0 always chooses the most likely token. Default: 1. */
  readonly temperature?: number | undefined;
  /** Keeps the k most likely tokens, and those as likely as the k-th. Default: 0, off. */
  readonly topK?: number | undefined;
  /** Keeps the most likely tokens until their probabilities sum to this (arXiv 1904.09751). Default: 1, off. */
  readonly topP?: number | undefined;
  /** Keeps tokens at least this fraction as likely as the most likely one (arXiv 2407.01082). Default: 0, off. */
  readonly minP?: number | undefined;
  /** Keeps the tokens whose surprise is nearest to the entropy, up to this mass (arXiv 2202.00666). Default: 1, off. */
  readonly typicalP?: number | undefined;
  /** Divides positive and multiplies negative logits of every previous token (arXiv 1909.05858). Default: 1, off. */
  readonly repetitionPenalty?: number | undefined;
  /** Subtracted from the logit of every previous token. Default: 0. */
  readonly presencePenalty?: number | undefined;
  /** Subtracted from the logit of a previous token as often as it occurred. Default: 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Forbids that a run of this many tokens occurs twice. Default: 0, off. */
  readonly noRepeatNgramSize?: number | undefined;
  /** Added to the logits of single tokens, by id; -Infinity forbids a token. Default: none. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /** Seed of the random numbers, an integer: the same seed gives the same tokens. Default: a random one. */
  readonly seed?: number | undefined;
}

const FRACTION = numbers('a number from 0 to 1', (x) => x >= 0 && x <= 1);
const FINITE = numbers('a finite number', Number.isFinite);

/** Checks of the options that are single numbers. */
export const SAMPLING_CHECKS: Checks<Omit<SamplingOptions, 'logitBias'>> = {
  temperature: numbers('a finite number, 0 or above', (x) => Number.isFinite(x) && x >= 0),
  topK: whole(0),
  topP: FRACTION,
  minP: FRACTION,
  typicalP: numbers('a number above 0 and up to 1', (x) => x > 0 && x <= 1),
  repetitionPenalty: numbers('a finite number above 0', (x) => Number.isFinite(x) && x > 0),
  presencePenalty: FINITE,
  frequencyPenalty: FINITE,
  noRepeatNgramSize: whole(0),
  seed: numbers('a whole number below 2^53 in size', Number.isSafeInteger),
};

/** Checks of all options, for a vocabulary of `vocabularySize` tokens. */
export const samplingChecks = (vocabularySize: number): Checks<SamplingOptions> => ({
  ...SAMPLING_CHECKS,
  logitBias: biases(vocabularySize),
});

const biases = (vocabularySize: number): Check => ({
  words: `an object of finite numbers or -Infinity by token ids, which are whole numbers from 0 to ${vocabularySize - 1}`,
  holds: (value) =>
    isRecord(value) &&
    Object.entries(value).every(
      ([id, bias]) => /^\d+$/.test(id) && Number(id) < vocabularySize && typeof bias === 'number' && bias < Infinity,
    ),
});

/**
 * Checks options before they are used.
 *
 * @param call Names the public call in the error.
 * @throws {OptionError} for an option out of range, or a name that is not an option.
 */
export function checkSamplingOptions(call: string, options: SamplingOptions, vocabularySize: number): void {
  checkOptions(call, options, samplingChecks(vocabularySize));
}
