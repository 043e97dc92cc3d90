import { type Check, type Checks, checkOptions, isRecord, numbers, whole } from '../options.ts';

/** How the next token is chosen. What is absent is off; all absent is plain sampling from the model's distribution. */
export interface SamplingOptions {
  /** Divides the logits; 0 means greedy: always the most likely token. Default 1. */
  readonly temperature?: number | undefined;
  /** Keep the k most likely tokens, and those as likely as the k-th; 0 is off. */
  readonly topK?: number | undefined;
  /** Keep the most likely tokens until their probabilities sum to this; 1 is off. */
  readonly topP?: number | undefined;
  /** Keep tokens at least this fraction as likely as the most likely one; 0 is off. */
  readonly minP?: number | undefined;
  /** Keep the tokens whose surprise is nearest to the expected one (arXiv 2202.00666), up to this mass; 1 is off. */
  readonly typicalP?: number | undefined;
  /** Divides positive and multiplies negative logits of every token seen before (arXiv 1909.05858); 1 is off. */
  readonly repetitionPenalty?: number | undefined;
  /** Taken from the logit of every token seen before. */
  readonly presencePenalty?: number | undefined;
  /** Taken from the logit of a token once for each time it was seen. */
  readonly frequencyPenalty?: number | undefined;
  /** No run of this many tokens may occur twice; 0 is off. */
  readonly noRepeatNgramSize?: number | undefined;
  /** Added to the logits of single tokens, by id; -Infinity forbids a token. */
  readonly logitBias?: Readonly<Record<number, number>> | undefined;
  /** Of the random numbers: the same seed gives the same tokens, on every platform. An integer; drawn where absent. */
  readonly seed?: number | undefined;
}

const FRACTION = numbers('a number from 0 to 1', (x) => x >= 0 && x <= 1);
const FINITE = numbers('a finite number', Number.isFinite);

/** What the options that are single numbers take. */
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

/** What the options take where there are `vocabularySize` tokens. */
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

/** @throws OptionError for an option out of range, or for a name that is none. */
export function checkSamplingOptions(call: string, options: SamplingOptions, vocabularySize: number): void {
  checkOptions(call, options, samplingChecks(vocabularySize));
}
