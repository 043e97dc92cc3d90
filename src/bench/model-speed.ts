import { load } from '../engine/load/load.ts';
import type { BackendName } from '../tensor/backends.ts';

export interface ModelSpeedSpec {
  readonly source: string;
  readonly backend: BackendName;
  readonly weights: 'auto' | 'f32' | 'bf16';
  readonly threads: number | undefined;
  /** Tokens before those that are timed. */
  readonly depth: number;
}

/** Seconds of single tokens of a real model, decoded one after the other. */
export interface ModelSpeed {
  readonly tokenSeconds: readonly number[];
}

const TOKENS = 32;

/** Decodes some tokens behind `depth` others, greedily, with what the engine does around a pass. */
export async function measureModel({ source, depth, ...options }: ModelSpeedSpec): Promise<ModelSpeed> {
  using model = await load(source, options);
  const prompt = Array.from({ length: Math.max(1, depth - TOKENS) }, (_, i) => (i * 7919) % model.config.vocabSize);
  const tokenSeconds: number[] = [];
  let start = 0;
  const tokens = model.generate(prompt, { maxTokens: 2 * TOKENS, temperature: 0, ignoreEos: true });
  while (!(await tokens.next()).done) {
    const now = performance.now();
    if (start > 0) tokenSeconds.push((now - start) / 1000); // The first token is the prompt's.
    start = now;
  }
  return { tokenSeconds };
}
