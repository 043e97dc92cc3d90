import { VitrineError } from '../../tensor/errors.ts';

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

/** A sampling option outside its range. */
export class SamplingOptionError extends VitrineError {
  override readonly name = 'SamplingOptionError';
}

type Rule = readonly [expected: string, holds: (x: number) => boolean];
const ATLEAST_ZERO: Rule = ['a finite number, 0 or above', (x) => Number.isFinite(x) && x >= 0];
const POSITIVE: Rule = ['a finite number above 0', (x) => Number.isFinite(x) && x > 0];
const FINITE: Rule = ['a finite number', Number.isFinite];
const COUNT: Rule = ['an integer, 0 or above', (x) => Number.isSafeInteger(x) && x >= 0];
const FRACTION: Rule = ['a number from 0 to 1', (x) => x >= 0 && x <= 1];

const RULES: Readonly<Record<Exclude<keyof SamplingOptions, 'logitBias'>, Rule>> = {
  temperature: ATLEAST_ZERO,
  topK: COUNT,
  topP: FRACTION,
  minP: FRACTION,
  typicalP: ['a number above 0 and up to 1', (x) => x > 0 && x <= 1],
  repetitionPenalty: POSITIVE,
  presencePenalty: FINITE,
  frequencyPenalty: FINITE,
  noRepeatNgramSize: COUNT,
  seed: ['an integer', Number.isSafeInteger],
};

/** Checks every option; `vocabularySize`, where known, bounds the ids of `logitBias`. @throws {SamplingOptionError} */
export function checkSamplingOptions(options: SamplingOptions, vocabularySize = Infinity): void {
  for (const [name, [expected, holds]] of Object.entries(RULES)) {
    const value: unknown = options[name as keyof typeof RULES];
    if (value !== undefined && (typeof value !== 'number' || !holds(value))) {
      throw new SamplingOptionError(`Sampling option ${name} must be ${expected}, got ${describe(value)}`);
    }
  }
  const biases: unknown = options.logitBias ?? {};
  if (typeof biases !== 'object' || biases === null || Array.isArray(biases)) {
    throw new SamplingOptionError(`Sampling option logitBias must map token ids to numbers, got ${describe(biases)}`);
  }
  for (const [id, bias] of Object.entries(biases) as [string, unknown][]) {
    if (!/^\d+$/.test(id) || Number(id) >= vocabularySize) {
      throw new SamplingOptionError(
        `Sampling option logitBias: token ids are integers from 0 to ${vocabularySize - 1}, got ${describe(id)}`,
      );
    }
    if (typeof bias !== 'number' || !(bias < Infinity)) {
      throw new SamplingOptionError(
        `Sampling option logitBias: the bias of token ${id} must be a finite number or -Infinity, got ${describe(bias)}`,
      );
    }
  }
}

function describe(value: unknown): string {
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
}
