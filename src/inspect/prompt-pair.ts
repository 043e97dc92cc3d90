import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { VitrineError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** The tokens of two prompts of one length, and the first place where they differ. */
export interface PromptPair {
  readonly cleanTokens: readonly number[];
  readonly tokens: readonly number[];
  /**
   * The tokens from here on have to be computed; those before are alike in both prompts, and come from a cache. 0 where a
   * sliding window is shorter than the prompt, so that a cache lacks keys.
   */
  readonly begin: number;
}

/** @throws {VitrineError} for prompts of different lengths. */
export function pairOf(
  model: Model,
  call: string,
  { clean, corrupt }: { readonly clean: Prompt; readonly corrupt: Prompt },
): PromptPair {
  const [cleanTokens, tokens] = [clean, corrupt].map((prompt) => model.tokensOf(prompt));
  if (cleanTokens.length !== tokens.length)
    throw new VitrineError(
      `${call}: expected prompts of as many tokens, got ${cleanTokens.length} and ${tokens.length}.`,
    );
  const differs = tokens.findIndex((token, i) => token !== cleanTokens[i]);
  const isWindowed = model.config.windows.some((window) => window < tokens.length);
  return { cleanTokens, tokens, begin: isWindowed ? 0 : differs < 0 ? tokens.length : differs };
}

/** The numbers of `[T, H, width]` with those of one head from another tensor of the same shape, row-major. */
export function withHead(values: Tensor, taken: Float32Array, head: number): Float32Array {
  const [T, H, width] = values.shape;
  const numbers = values.data();
  for (let t = 0; t < T; t++) {
    const at = (t * H + head) * width;
    numbers.set(taken.subarray(at, at + width), at);
  }
  return numbers;
}
