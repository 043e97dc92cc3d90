import { VitrineError } from '../errors.ts';
import { resolveOptions, type GenerateOptions } from '../engine/generate/generate-options.ts';
import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { createRandom, drawSeed } from '../sampling/random.ts';
import { type SamplingTrace, type TracedToken, traceSampling } from '../sampling/trace-sampling.ts';
import { tokenTexts } from './token-text.ts';

/** Options of `samplerTrace`: those of `generate`, and how much is shown. */
export interface SamplerTraceOptions extends Omit<GenerateOptions, 'capture' | 'logprobs'> {
  /** How many of the most likely tokens are shown, of those before the sampler's stages and of those after. Default: 10. */
  readonly alternatives?: number | undefined;
}

/** A token of a traced text with its text. */
export interface TracedAlternative extends TracedToken {
  readonly text: string;
}

/** How one token of a text was chosen. */
export interface TokenTrace extends SamplingTrace {
  /** The text that the token made certain, as `generate` gives it. */
  readonly text: string;
  readonly alternatives: readonly TracedAlternative[];
}

/**
 * Generates as `generate` does, the same tokens for the same seed, and says of each token what every stage of the sampler did to
 * the distribution, which stage removed which alternative, and what random number chose it. The trace comes of the functions
 * that sample; the final probabilities of what it shows are held to those that the token was drawn from, bit for bit.
 *
 * @throws {VitrineError} where an edit of `sampler.*` makes the token another than the sampler's.
 * @throws {Error} as `generate` does.
 */
export async function* samplerTrace(
  model: Model,
  prompt: Prompt,
  { alternatives, ...options }: SamplerTraceOptions = {},
): AsyncGenerator<TokenTrace, void, undefined> {
  const { source, generationConfig } = model.files;
  const { vocabSize } = model.config;
  const { sampling } = resolveOptions(options, { source, generationConfig, vocabSize, ends: [] });
  const seed = sampling.seed ?? drawSeed();
  const random = createRandom(seed);
  const history = [...(options.cache?.tokens ?? []), ...model.tokensOf(prompt)];
  const textOf = tokenTexts(model);
  const capture = ['hook_logits', 'sampler.hook_probs'];
  for await (const { token, text, acts } of model.generate(prompt, { ...options, seed, capture })) {
    const logits = acts!.hook_logits.data().slice(-vocabSize);
    const trace = traceSampling(logits, { ...sampling, alternatives }, history, random);
    expectSame(trace, token, acts!['sampler.hook_probs'].data());
    history.push(token);
    yield { ...trace, text, alternatives: trace.alternatives.map((one) => ({ ...one, text: textOf([one.token]) })) };
  }
}

/** @throws {VitrineError} where the trace is not what happened. */
function expectSame({ token, stages, alternatives }: SamplingTrace, generated: number, drawnFrom: Float32Array): void {
  const last = stages.length - 1;
  const differs = alternatives.find(
    ({ token: id, probabilities }) => Math.fround(probabilities[last]) !== drawnFrom[id],
  );
  if (token === generated && differs === undefined) return;
  throw new VitrineError(
    `samplerTrace: expected the sampler to draw ${token}, got ${generated}` +
      `${differs ? `; the probability of token ${differs.token} is another, too` : ''}. ` +
      'Leave out edits of sampler.*, which act behind the stages that the trace shows.',
  );
}
