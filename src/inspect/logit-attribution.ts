import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { type Checks, checkOptions, FLAG, OptionError, whole } from '../options.ts';
import { scope } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type OneToken, tokenId } from './metric.ts';

/** What is attributed. */
export interface LogitAttributionOptions {
  /** The token whose logit is attributed. */
  readonly answer: OneToken;
  /** The token whose logit is subtracted. Default: none, so that the logit itself is attributed. */
  readonly wrong?: OneToken | undefined;
  /** The token of the prompt after which the logits are taken; -1 (default) is the last. */
  readonly position?: number | undefined;
  /** Whether each neuron's part is given too. Default false. */
  readonly neurons?: boolean | undefined;
}

const TOKEN = {
  words: 'a token id, or a text of one token',
  holds: (value: unknown) => typeof value === 'number' || typeof value === 'string',
};
const CHECKS: Checks<LogitAttributionOptions> = {
  answer: TOKEN,
  wrong: TOKEN,
  position: whole(-Number.MAX_SAFE_INTEGER),
  neurons: FLAG,
};

/** The part of a logit difference that each component has written into the residual stream. */
export interface LogitAttribution {
  /** Sum of all parts: the difference of `unembed.hook_out`, before a model's scale or bound of the logits. */
  readonly total: number;
  /** The embedding, with learned positions. */
  readonly embed: number;
  /** `[L]` each: what attention and the MLP of each layer add. */
  readonly attn: Float32Array;
  readonly mlp: Float32Array;
  /** `[L, H]`: each head's part of `attn`, which also has that of the output's bias. */
  readonly heads: Float32Array;
  /** `[L, F]`: each neuron's part of `mlp`, where it was asked for. */
  readonly neurons?: Float32Array;
  /** What the biases of the final norm and of the head add. */
  readonly bias: number;
  /** What the final norm divides by, held fixed: it makes the parts add up. */
  readonly divisor: number;
}

/**
 * Direct logit attribution: the logits are linear in the residual stream once the divisor of the final norm is held, and the
 * stream is a sum; so each summand has its part of a logit difference. A norm behind a sub-layer is held likewise.
 *
 * @throws {OptionError} for a wrong option, and neurons of a mixture.
 */
export function logitAttribution(model: Model, prompt: Prompt, options: LogitAttributionOptions): LogitAttribution {
  checkOptions('logitAttribution', options, CHECKS);
  const { answer, wrong, position = -1, neurons = false } = options;
  const ids = model.tokensOf(prompt);
  const row = position < 0 ? position + ids.length : position;
  if (!(row >= 0 && row < ids.length))
    throw new OptionError(`logitAttribution: expected a position of ${ids.length} tokens, got ${position}.`);
  const { nLayers: L, nHeads: H } = model.config;
  const layers = Array.from({ length: L }, (_, layer) => layer);
  const at = (layer: number, hook: string): string => `blocks.${layer}.${hook}`;
  const capture = [
    'blocks.0.hook_resid_pre',
    'ln_final.hook_scale',
    ...layers.flatMap((layer) => [
      ...['hook_attn_out', 'hook_mlp_out', 'attn.hook_out', 'mlp.hook_out', 'attn.hook_result'].map((hook) =>
        at(layer, hook),
      ),
      ...(neurons ? [at(layer, 'mlp.hook_post')] : []),
    ]),
  ];
  if (neurons) expectNeurons(model, layers);
  using run = model.run(ids, { capture, rows: [row] });
  const acts: Readonly<Record<string, Tensor>> = run.acts;
  /** The numbers of the row. */
  const numbers = (name: string): Float32Array => {
    const values = acts[name].data();
    const width = values.length / ids.length;
    return values.subarray(row * width, (row + 1) * width);
  };
  const divisor = numbers('ln_final.hook_scale')[0];
  const { direction, bias } = readout(model, tokenIds(model, answer, wrong), divisor);

  const result = {
    embed: dot(numbers('blocks.0.hook_resid_pre'), direction),
    attn: new Float32Array(L),
    mlp: new Float32Array(L),
    heads: new Float32Array(L * H),
    ...(neurons && { neurons: new Float32Array(L * model.config.mlpDim) }),
    bias,
    divisor,
  };
  for (const layer of layers) {
    const attnOut = numbers(at(layer, 'hook_attn_out'));
    const mlpOut = numbers(at(layer, 'hook_mlp_out'));
    result.attn[layer] = dot(attnOut, direction);
    result.mlp[layer] = dot(mlpOut, direction);
    const throughAttn = scaled(direction, attnOut, numbers(at(layer, 'attn.hook_out')));
    const results = numbers(at(layer, 'attn.hook_result')); // [H, D]
    const D = direction.length;
    for (let head = 0; head < H; head++)
      result.heads[layer * H + head] = dot(results.subarray(head * D, (head + 1) * D), throughAttn);
    if (result.neurons) {
      const throughMlp = scaled(direction, mlpOut, numbers(at(layer, 'mlp.hook_out')));
      result.neurons.set(
        neuronParts(model, layer, numbers(at(layer, 'mlp.hook_post')), throughMlp),
        layer * model.config.mlpDim,
      );
    }
  }
  const sum = (parts: Float32Array): number => parts.reduce((total, part) => total + part, 0);
  return { total: result.embed + sum(result.attn) + sum(result.mlp) + bias, ...result };
}

const tokenIds = (model: Model, answer: OneToken, wrong: OneToken | undefined): readonly number[] =>
  [answer, ...(wrong === undefined ? [] : [wrong])].map((token) => tokenId(model, 'logitAttribution', token));

function expectNeurons(model: Model, layers: readonly number[]): void {
  const mixture = layers.find((layer) => !model.hookPoints.has(`blocks.${layer}.mlp.hook_post`));
  if (mixture !== undefined)
    throw new OptionError(`logitAttribution: layer ${mixture} is a mixture of experts: leave out \`neurons\`.`);
}

/** The direction of the residual stream `[D]` that makes the logit difference, and what biases add to it. */
function readout(model: Model, ids: readonly number[], divisor: number): { direction: Float64Array; bias: number } {
  const { weights } = model;
  const names = weights.names;
  const read = (name: string): Float32Array => {
    using weight = weights.get(name);
    return weight.data();
  };
  const difference = (values: Float32Array, from: number, step: number): number =>
    values[from * step] - (ids.length > 1 ? values[from * step + 1] : 0);
  const columns = scope('', () => {
    const head = weights.get('W_U'); // [D, V]
    try {
      return head.gather(Tensor.from(model.backend, Int32Array.from(ids)), 1).data(); // [D, 1 or 2]
    } finally {
      head.dispose();
    }
  });
  const gain = read('ln_final.w');
  const unnormed = Float64Array.from(gain, (_, i) => difference(columns, i, ids.length));
  const direction = unnormed.map((x, i) => (x * gain[i]) / divisor);
  // A layer norm subtracts the mean of what it reads: so does a direction whose mean is 0.
  const isLayerNorm = names.includes('ln_final.b');
  const mean = isLayerNorm ? direction.reduce((sum, x) => sum + x, 0) / direction.length : 0;
  const normBias = isLayerNorm ? dot(read('ln_final.b'), unnormed) : 0;
  const headBias = names.includes('b_U') ? ids.map((id) => read('b_U')[id]).reduce((a, b) => a - b) : 0;
  return { direction: direction.map((x) => x - mean), bias: normBias + headBias };
}

/** The direction as seen from before a sub-layer's factor or norm, which makes `after` of `before`, number by number. */
const scaled = (direction: Float64Array, after: Float32Array, before: Float32Array): Float64Array =>
  direction.map((x, i) => (before[i] === 0 ? 0 : (x * after[i]) / before[i]));

function neuronParts(model: Model, layer: number, post: Float32Array, direction: Float64Array): Float32Array {
  using down = model.weights.get(`blocks.${layer}.mlp.W_out`); // [F, D]
  const rows = down.data();
  const D = direction.length;
  return post.map((value, neuron) => value * dot(rows.subarray(neuron * D, (neuron + 1) * D), direction));
}

function dot(a: Float32Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
