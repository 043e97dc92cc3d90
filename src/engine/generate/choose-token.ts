import { HookError } from '../../hooks/hook-error.ts';
import { adjustLogits } from '../../sampling/adjust.ts';
import { describeBroken, logprobOf, topLogprobs } from '../../sampling/logits.ts';
import { type Random, sampleFrom } from '../../sampling/random.ts';
import type { SamplingOptions } from '../../sampling/sampling-options.ts';
import { truncatedProbabilities } from '../../sampling/truncate.ts';
import type { Backend } from '../../tensor/backend.ts';
import type { Hook } from '../../tensor/hook-point.ts';
import { scope } from '../../tensor/scope.ts';
import { tap, watched } from '../../tensor/tap.ts';
import { Tensor } from '../../tensor/tensor.ts';

/** The token that follows, and how likely the model finds it. */
export interface ChosenToken {
  readonly token: number;
  /** Log-probability by the model itself, nats: before penalties, temperature and truncation. */
  readonly logprob: number;
  /** The most likely tokens by the model itself, if they were asked for. */
  readonly topLogprobs?: readonly { token: number; logprob: number }[];
}

/** The settings by which a token is chosen, and the text before it. */
export interface TokenChoice {
  readonly sampling: SamplingOptions;
  /** How many of the most likely tokens to give; 0 for none. */
  readonly logprobs: number;
  /** Tokens of the text so far: what penalties look at. */
  readonly history: readonly number[];
  readonly random: Random;
  /** The backend of the tensors that observers see. */
  readonly backend: Backend;
}

/** The hook points of `chooseToken`, in their order. */
export const samplerHooks = (vocabSize: number): Hook[] =>
  [
    { name: 'sampler.hook_logits', axes: '1 V', meaning: 'logits after penalties and temperature' },
    { name: 'sampler.hook_probs', axes: '1 V', meaning: 'probabilities after truncation' },
    {
      name: 'sampler.hook_token',
      axes: '1',
      meaning: 'the chosen token, i32; an edit forces another',
      idsBelow: vocabSize,
    },
  ].map((point) => ({ ...point, layer: undefined }));

/**
 * Logits `[V]` to a token: penalties and temperature, truncation, one random number. Observers see and edit each stage.
 *
 * @throws {NonFiniteLogitsError} for logits that no token can be chosen by.
 * @throws {HookError} for an edit by which no token can be chosen.
 */
export function chooseToken(
  logits: Float32Array,
  { sampling, logprobs, history, random, backend }: TokenChoice,
): ChosenToken {
  const adjusted = tapRow(backend, 'sampler.hook_logits', adjustLogits(logits, sampling, history), describeBroken);
  const truncated = truncatedProbabilities(adjusted, sampling);
  const probabilities = tapRow(backend, 'sampler.hook_probs', truncated, describeImpossible);
  const [token] = tapRow(backend, 'sampler.hook_token', Int32Array.of(sampleFrom(probabilities, random)));
  return {
    token,
    logprob: logprobOf(token, logits),
    ...(logprobs > 0 && { topLogprobs: topLogprobs(logits, logprobs) }),
  };
}

/**
 * A tap on numbers of the host, which become a tensor only where they are observed.
 *
 * @param describeFault Says why no token can be chosen by an edit; undefined where one can.
 */
function tapRow<A extends Float32Array | Int32Array>(
  backend: Backend,
  name: string,
  values: A,
  describeFault: (edited: A) => string | undefined = () => undefined,
): A {
  if (!watched(name)) return values;
  return scope('', () => {
    const shape = values instanceof Float32Array ? [1, values.length] : [values.length];
    const shown = Tensor.from(backend, values, shape);
    const used = tap(name, shown);
    if (used === shown) return values;
    const edited = (values instanceof Float32Array ? used.data() : used.integers()) as A;
    const fault = describeFault(edited);
    if (fault !== undefined) throw new HookError(`edit of ${name}: no token can be chosen by it: ${fault}.`);
    return edited;
  });
}

function describeImpossible(probabilities: Float32Array): string | undefined {
  const bad = probabilities.findIndex((p) => !(p >= 0 && p < Infinity));
  if (bad >= 0) return `the probability of token ${bad} is ${probabilities[bad]}`;
  return probabilities.some((p) => p > 0) ? undefined : 'every probability is 0';
}
