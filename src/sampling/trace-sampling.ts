import { checkArgument, checkOptions, instanceOf, listOf, whole } from '../options.ts';
import { type AdjustmentStage, adjustLogits } from './adjust.ts';
import { type Candidates, possible, softmax } from './candidates.ts';
import { kthLargest } from './quickselect.ts';
import { createRandom, drawSeed, type Random, sampleFrom } from './random.ts';
import { type SamplingOptions, samplingChecks } from './sampling-options.ts';
import { truncatedProbabilities, type TruncationStage } from './truncate.ts';

/** A stage of the sampler, named after its option, in the order in which they run; `model` is the distribution before them. */
export type SamplerStage = 'model' | AdjustmentStage | TruncationStage;

/** What a stage left of the distribution. */
export interface StageResult {
  readonly name: SamplerStage;
  /** The number of tokens that are still possible. */
  readonly possible: number;
  /** `-sum p ln p`, nats. */
  readonly entropy: number;
}

/** A token's way through the stages. */
export interface TracedToken {
  readonly token: number;
  /** The number of tokens that the model finds more likely. */
  readonly rank: number;
  /** The probability after each of the trace's `stages`. */
  readonly probabilities: readonly number[];
  /** The stage that made it impossible; absent where it could be drawn. */
  readonly removedBy?: SamplerStage;
}

/** How a token was chosen. */
export interface SamplingTrace {
  readonly token: number;
  /** The number that was drawn, uniform in [0, 1). */
  readonly random: number;
  /**
   * The part of [0, 1) that belongs to the token when the final probabilities are laid end to end in the order of ids: the
   * random number lies in it. `[0, 1]` for the only possible token.
   */
  readonly interval: readonly [from: number, to: number];
  /** The model's own distribution, then each stage that changed it. */
  readonly stages: readonly StageResult[];
  /** The most likely tokens before all stages and after them, and the chosen one, by descending final probability, then by rank. */
  readonly alternatives: readonly TracedToken[];
}

/** Options of `traceSampling`: those by which the token is chosen, and how much is shown. */
export interface TraceOptions extends SamplingOptions {
  /** How many of the most likely tokens are shown, of those before the stages and of those after. Default: 10. */
  readonly alternatives?: number | undefined;
}

/**
 * Chooses a token from logits `[V]` as `generate` does, by the same functions, and says what each stage did to the distribution.
 *
 * @param previousTokens Ids of prompt and output so far, which the penalties and the n-gram rule read. Default: none.
 * @param random Where the random number comes from, one for each token. Default: a generator of `options.seed`.
 * @throws {OptionError} for an argument of another type, or an option out of range.
 * @throws {NonFiniteLogitsError} for logits that no token can be chosen by.
 */
export function traceSampling(
  logits: Float32Array,
  options: TraceOptions = {},
  previousTokens: readonly number[] = [],
  random: Random = createRandom(options.seed ?? drawSeed()),
): SamplingTrace {
  checkArgument('traceSampling', 'logits', logits, instanceOf(Float32Array, 'a Float32Array'));
  checkArgument('traceSampling', 'previousTokens', previousTokens, listOf('token ids', Number.isSafeInteger));
  const V = logits.length;
  checkOptions('traceSampling', options, { ...samplingChecks(V), alternatives: whole(0) });
  const { alternatives: count = 10, ...sampling } = options;

  const stages: Distribution[] = [distribution('model', possible(logits), V)];
  const add = (name: SamplerStage, left: Candidates): void => {
    const next = distribution(name, left, V);
    const before = stages.at(-1)!;
    if (next.probabilities.some((p, id) => p !== before.probabilities[id])) stages.push(next);
  };
  const adjusted = adjustLogits(logits, sampling, previousTokens, (name, now) => {
    add(name, possible(now));
  });
  const final = truncatedProbabilities(adjusted, sampling, add);
  let drawn = NaN;
  const token = sampleFrom(final, () => (drawn = random()));

  const last = stages.at(-1)!;
  const shown = new Set([...mostLikely(stages[0], logits, count), ...mostLikely(last, logits, count), token]);
  return {
    token,
    random: drawn,
    interval: intervalOf(final, token),
    stages: stages.map(({ name, possible: left, entropy }) => ({ name, possible: left, entropy })),
    alternatives: [...shown].sort(byProbability(last, logits)).map((id) => {
      const removed = stages.find((stage, i) => i > 0 && !stage.holds(id) && stages[i - 1].holds(id));
      return {
        token: id,
        rank: logits.reduce((larger, logit) => larger + (logit > logits[id] ? 1 : 0), 0),
        probabilities: stages.map(({ probabilities }) => probabilities[id]),
        ...(removed && { removedBy: removed.name }),
      };
    }),
  };
}

/** The distribution after a stage. */
interface Distribution extends StageResult {
  readonly probabilities: Float64Array; // [V]
  /** Whether a token is still possible. */
  holds(token: number): boolean;
}

function distribution(name: SamplerStage, { ids, logits }: Candidates, V: number): Distribution {
  const probabilities = new Float64Array(V);
  const isPossible = new Uint8Array(V);
  let entropy = 0;
  softmax(logits).forEach((p, i) => {
    probabilities[ids[i]] = p;
    isPossible[ids[i]] = 1;
    if (p > 0) entropy -= p * Math.log(p);
  });
  return { name, possible: ids.length, entropy, probabilities, holds: (token) => isPossible[token] === 1 };
}

/** Orders tokens by falling probability after a stage, then by what the model itself finds more likely. */
const byProbability =
  ({ probabilities }: Distribution, logits: Float32Array) =>
  (a: number, b: number): number =>
    probabilities[b] - probabilities[a] || logits[b] - logits[a] || a - b;

function mostLikely(stage: Distribution, logits: Float32Array, count: number): number[] {
  if (count === 0) return [];
  const least = kthLargest(stage.probabilities, count);
  const ids = [...stage.probabilities.keys()].filter((id) => stage.holds(id) && stage.probabilities[id] >= least);
  return ids.sort(byProbability(stage, logits)).slice(0, count);
}

function intervalOf(probabilities: Float32Array, token: number): readonly [number, number] {
  let total = 0;
  let before = 0;
  probabilities.forEach((p, id) => {
    total += p;
    if (id < token) before += p;
  });
  return [before / total, (before + probabilities[token]) / total];
}
