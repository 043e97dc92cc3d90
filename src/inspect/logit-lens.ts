import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { type Checks, checkOptions, listOf, whole } from '../options.ts';
import { topPlaces } from '../tensor/array/order.ts';
import { scope } from '../tensor/scope.ts';
import { type OneToken, tokenId } from './metric.ts';

/** What a lens shows. */
export interface LensOptions {
  /** The most likely tokens of each place. Default 5. */
  readonly top?: number | undefined;
  /** Tokens whose logits and ranks are given. Default: none. */
  readonly tokens?: readonly OneToken[] | undefined;
}

const CHECKS: Checks<LensOptions> = {
  top: whole(1),
  tokens: listOf('token ids, or texts of one token', (token) => typeof token === 'number' || typeof token === 'string'),
};

/** One place of a lens. */
export interface LensPlace {
  /** The most likely tokens, best first, and their logits. */
  readonly ids: readonly number[];
  readonly logits: readonly number[];
}

/** A token that a lens follows. */
export interface LensToken {
  readonly id: number;
  /** `[L + 1, T]`: its logit at each place. */
  readonly logits: Float32Array;
  /** `[L + 1, T]`: how many tokens have a larger logit; 0 is the best. */
  readonly ranks: Int32Array;
}

/** What each residual stream would predict, by layer and position. */
export interface Lens {
  /** Rows: the residual stream before each of the L layers, and the one after the last. Columns: the T tokens. */
  readonly shape: readonly [rows: number, positions: number];
  /** The token ids of the prompt. */
  readonly prompt: readonly number[];
  /** `places[row][position]` */
  readonly places: readonly (readonly LensPlace[])[];
  /** Those that were asked for, in their order. */
  readonly tokens: readonly LensToken[];
}

/**
 * The logit lens (nostalgebraist, 2020): the logits of the residual stream before each layer, as if the layers after it were
 * not there: final norm, taken anew at each, and head. The last row is what the model predicts, bit for bit the logits of
 * `run`.
 *
 * @throws {OptionError} for a wrong option, and a text that is not one token.
 */
export function logitLens(model: Model, prompt: Prompt, options: LensOptions = {}): Lens {
  checkOptions('logitLens', options, CHECKS);
  const { top = 5, tokens = [] } = options;
  const ids = model.tokensOf(prompt);
  const followed = tokens.map((token) => tokenId(model, 'logitLens', token));
  const { nLayers: L, vocabSize: V } = model.config;
  const T = ids.length;
  const last = `blocks.${L - 1}.hook_resid_post`;
  using run = model.run(ids, { capture: ['blocks.*.hook_resid_pre', last], until: last });
  const streams = run.acts['blocks.*.hook_resid_pre']; // [L, T, D]
  const result = followed.map((id) => ({
    id,
    logits: new Float32Array((L + 1) * T),
    ranks: new Int32Array((L + 1) * T),
  }));
  const places = Array.from({ length: L + 1 }, (_, layer) => {
    const logits = scope('', () => {
      const stream = layer === L ? run.acts[last] : streams.slice([layer, 0, 0], [1, -1, -1]).reshape([T, -1]);
      return model.unembed(stream).data(); // [T, V]
    });
    return ids.map((_id, t) => {
      const row = logits.subarray(t * V, (t + 1) * V);
      for (const token of result) {
        token.logits[layer * T + t] = row[token.id];
        token.ranks[layer * T + t] = countAbove(row, row[token.id]);
      }
      const best = topPlaces((id) => row[id], V, top);
      return { ids: best, logits: best.map((id) => row[id]) };
    });
  });
  return { shape: [L + 1, T], prompt: ids, places, tokens: result };
}

function countAbove(values: Float32Array, limit: number): number {
  let count = 0;
  for (const value of values) if (value > limit) count++;
  return count;
}
