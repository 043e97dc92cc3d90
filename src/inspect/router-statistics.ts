import { VitrineError } from '../errors.ts';
import type { Model } from '../engine/model.ts';
import { type Prompt, PROMPTS } from '../engine/prompt.ts';
import { checkArgument } from '../options.ts';

/** Where a token went. */
export interface RoutedToken {
  readonly token: number;
  /** The index of its prompt. */
  readonly prompt: number;
  readonly position: number;
  /** The chosen experts, best first. */
  readonly experts: Int32Array; // [k]
  /** The weights of their outputs. */
  readonly weights: Float32Array; // [k]
  /** The last chosen score less the first one that was not chosen: rounding below it changes no choice. */
  readonly margin: number;
}

/** What the router of one layer did. */
export interface RouterStatistics {
  readonly layer: number;
  /** `[E]`: the choices of each expert; they sum to tokens times k. */
  readonly counts: Int32Array;
  /** `[E]`: the share of all choices of each expert. */
  readonly load: Float64Array;
  /** `[E]`: the sum of the weights that each expert's outputs had. */
  readonly weight: Float64Array;
  /** Entropy of the load, nats. */
  readonly entropy: number;
  /** The entropy over that of equal loads: 1 where all experts have the same share, 0 where one has all. */
  readonly balance: number;
  /** Experts that no token chose. */
  readonly unused: readonly number[];
  readonly margin: MarginStatistics;
  /** Every token, in the order of prompts and positions. */
  readonly tokens: readonly RoutedToken[];
}

/** The distribution of a router's margins over tokens. */
export interface MarginStatistics {
  readonly min: number;
  readonly mean: number;
  /** The value that a tenth of the margins lie below, and so on; between two of them it is interpolated linearly. */
  readonly p10: number;
  readonly median: number;
  readonly p90: number;
}

/**
 * How a mixture of experts routes the tokens of prompts: load and balance of its experts, the margins by which they were chosen,
 * and which token goes where. One entry for each layer that is a mixture.
 *
 * @throws {VitrineError} for a model without experts.
 * @throws {OptionError} for no prompts.
 */
export function routerStatistics(model: Model, prompts: readonly Prompt[]): RouterStatistics[] {
  checkArgument('routerStatistics', 'prompts', prompts, PROMPTS);
  const layers = mixtureLayers(model);
  const routed = layers.map((): RoutedToken[] => []);
  const capture = layers.flatMap(hooksOf);
  prompts.forEach((prompt, i) => {
    const tokens = model.tokensOf(prompt);
    const { acts, dispose } = model.run(tokens, { capture, until: capture.at(-1) });
    try {
      layers.forEach((layer, at) => {
        const [margins, ids, weights] = hooksOf(layer).map((hook) => acts[hook]);
        const k = ids.shape[1];
        const [chosen, own, gaps] = [Int32Array.from(ids.integers()), weights.data(), margins.data()];
        tokens.forEach((token, position) => {
          const [from, to] = [position * k, (position + 1) * k];
          routed[at].push({
            token,
            prompt: i,
            position,
            experts: chosen.slice(from, to),
            weights: own.slice(from, to),
            margin: gaps[position],
          });
        });
      });
    } finally {
      dispose();
    }
  });
  return layers.map((layer, at) => statisticsOf(layer, expertsOf(model, layer), routed[at]));
}

/** In the order of the pass. */
const hooksOf = (layer: number): [margin: string, indices: string, weights: string] => [
  `blocks.${layer}.mlp.router.hook_margin`,
  `blocks.${layer}.mlp.hook_expert_indices`,
  `blocks.${layer}.mlp.hook_topk_weights`,
];

function mixtureLayers(model: Model): number[] {
  const layers = [...model.hookPoints.values()].flatMap(({ name, layer }) =>
    layer !== undefined && name === hooksOf(layer)[1] ? [layer] : [],
  );
  if (layers.length === 0)
    throw new VitrineError(
      `routerStatistics: expected a mixture of experts; no layer of ${model.files.source} is one.`,
    );
  return layers;
}

/** E: the hook of the chosen experts says below what their ids are. */
const expertsOf = (model: Model, layer: number): number => model.hookPoints.get(hooksOf(layer)[1])!.idsBelow!;

function statisticsOf(layer: number, experts: number, tokens: readonly RoutedToken[]): RouterStatistics {
  const counts = new Int32Array(experts);
  const weight = new Float64Array(experts);
  for (const token of tokens)
    token.experts.forEach((expert, i) => {
      counts[expert]++;
      weight[expert] += token.weights[i];
    });
  const choices = counts.reduce((sum, count) => sum + count, 0);
  const load = Float64Array.from(counts, (count) => count / choices);
  const entropy = load.reduce((sum, share) => (share > 0 ? sum - share * Math.log(share) : sum), 0);
  return {
    layer,
    counts,
    load,
    weight,
    entropy,
    balance: experts > 1 ? entropy / Math.log(experts) : 1,
    unused: [...counts.keys()].filter((expert) => counts[expert] === 0),
    margin: marginsOf(tokens),
    tokens,
  };
}

function marginsOf(tokens: readonly RoutedToken[]): MarginStatistics {
  const sorted = Float64Array.from(tokens, ({ margin }) => margin).sort();
  const quantile = (share: number): number => {
    const at = share * (sorted.length - 1);
    const below = Math.floor(at);
    const part = at - below;
    return part === 0 ? sorted[below] : sorted[below] * (1 - part) + sorted[below + 1] * part;
  };
  return {
    min: sorted[0],
    mean: sorted.reduce((sum, margin) => sum + margin, 0) / sorted.length,
    p10: quantile(0.1),
    median: quantile(0.5),
    p90: quantile(0.9),
  };
}
