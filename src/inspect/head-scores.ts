import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { OptionError } from '../options.ts';
import { createRandom } from '../sampling/random.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** How much of its attention each head spends on certain keys: a mean over queries, `[L, H]` row-major each. */
export interface HeadScores {
  readonly shape: readonly [layers: number, heads: number];
  /** The token before the query, over queries from the second on. */
  readonly previousToken: Float32Array;
  /** The first token, over queries from the second on: where most models put attention that goes nowhere. */
  readonly firstToken: Float32Array;
  /** The learned sink, over all queries: what the pattern lacks to 1. 0 where a model has none. */
  readonly sink: Float32Array;
  /** Earlier occurrences of the query's own token, over the queries that have one; NaN where none has. */
  readonly duplicateToken: Float32Array;
  /** The tokens after earlier occurrences of the query's own token, likewise: what an induction head attends to. */
  readonly induction: Float32Array;
}

/**
 * Scores of attention patterns (Olsson et al., 2022) on a prompt. Patterns are looked at one layer at a time and not kept.
 *
 * @throws {OptionError} for a prompt of one token.
 */
export function headScores(model: Model, prompt: Prompt): HeadScores {
  const ids = model.tokensOf(prompt);
  if (ids.length < 2) throw new OptionError('headScores: expected a prompt of at least two tokens, got one.');
  const { nLayers: L, nHeads: H } = model.config;
  const made = (): Float32Array => new Float32Array(L * H);
  const scores: HeadScores = {
    shape: [L, H],
    previousToken: made(),
    firstToken: made(),
    sink: made(),
    duplicateToken: made(),
    induction: made(),
  };
  const keys = keysOf(ids);
  let layer = 0;
  const look = (pattern: Tensor): undefined => {
    scorePattern(pattern, layer++ * H, keys, scores);
    return undefined;
  };
  // An edit that gives nothing back only looks, and changes no bit.
  const last = `blocks.${L - 1}.attn.hook_pattern`;
  model.run(ids, { edit: { 'blocks.*.attn.hook_pattern': look }, until: last }).dispose();
  return scores;
}

/**
 * Scores on a sequence of `half` different random tokens, twice: heads that find what came after the last occurrence of a
 * token, whatever the tokens mean. `half` is 24 and the tokens' `seed` 0 by default.
 *
 * @throws {OptionError} for a half that is no whole number from 2 to the size of the vocabulary.
 */
export function inductionScores(model: Model, { half = 24, seed = 0 } = {}): HeadScores {
  const { vocabSize } = model.config;
  if (!Number.isSafeInteger(half) || half < 2 || half > vocabSize)
    throw new OptionError(`inductionScores: half must be a whole number from 2 to ${vocabSize}, got ${half}.`);
  const random = createRandom(seed);
  const tokens = new Set<number>();
  while (tokens.size < half) tokens.add(Math.floor(random() * vocabSize));
  return headScores(model, [...tokens, ...tokens]);
}

/** For each query, the keys that hold its own token, and those after them. */
interface Keys {
  readonly duplicates: readonly (readonly number[])[];
  readonly followers: readonly (readonly number[])[];
}

function keysOf(ids: readonly number[]): Keys {
  const seen = new Map<number, number[]>();
  const duplicates = ids.map((id, i) => {
    const before = [...(seen.get(id) ?? [])];
    seen.set(id, [...before, i]);
    return before;
  });
  return { duplicates, followers: duplicates.map((before) => before.map((key) => key + 1)) };
}

function scorePattern(pattern: Tensor, offset: number, keys: Keys, scores: HeadScores): void {
  const [H, T] = pattern.shape;
  const values = pattern.data(); // [H, T, T]
  for (let head = 0; head < H; head++) {
    const at = (query: number, key: number): number => values[(head * T + query) * T + key];
    const mean = (from: number, of: (query: number) => number): number => {
      let sum = 0;
      for (let query = from; query < T; query++) sum += of(query);
      return sum / (T - from);
    };
    const meanOver = (chosen: Keys['duplicates']): number => {
      const queries = chosen.flatMap((own, query) => (own.length > 0 ? query : []));
      const total = (query: number): number => chosen[query].reduce((sum, key) => sum + at(query, key), 0);
      return queries.reduce((sum, query) => sum + total(query), 0) / queries.length;
    };
    const place = offset + head;
    scores.previousToken[place] = mean(1, (query) => at(query, query - 1));
    scores.firstToken[place] = mean(1, (query) => at(query, 0));
    scores.sink[place] = mean(0, (query) => {
      let sum = 0;
      for (let key = 0; key < T; key++) sum += at(query, key);
      return Math.max(0, 1 - sum);
    });
    scores.duplicateToken[place] = meanOver(keys.duplicates);
    scores.induction[place] = meanOver(keys.followers);
  }
}
