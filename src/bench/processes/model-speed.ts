import { load } from '../../engine/load/load.ts';
import type { BackendName } from '../../tensor/backends.ts';

/** A model to be timed, and how it is loaded. */
export interface ModelSpeedSpec {
  readonly source: string;
  readonly backend: BackendName;
  readonly weights: 'auto' | 'f32' | 'bf16';
  readonly threads: number | undefined;
  /** The position around which tokens are timed. */
  readonly depth: number;
}

/** Times of a model's tokens, decoded one after the other. */
export interface ModelSpeed {
  /** Seconds of each token. */
  readonly tokenSeconds: readonly number[];
}

/** Half of the tokens to decode: so many lie before `depth`, and so many after it. */
const TOKENS = 32;

/** Decodes 64 tokens greedily around position `depth`, with all that `generate` does beside the forward pass. */
export async function measureModel({ source, depth, ...options }: ModelSpeedSpec): Promise<ModelSpeed> {
  using model = await load(source, options);
  const prompt = Array.from({ length: Math.max(1, depth - TOKENS) }, (_, i) => (i * 7919) % model.config.vocabSize);
  const tokenSeconds: number[] = [];
  let start = 0;
  const tokens = model.generate(prompt, { maxTokens: 2 * TOKENS, temperature: 0, ignoreEos: true });
  while (!(await tokens.next()).done) {
    const now = performance.now();
    if (start > 0) tokenSeconds.push((now - start) / 1000); // The time of the first token is that of the prompt.
    start = now;
  }
  return { tokenSeconds };
}
