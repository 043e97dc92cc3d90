import type { GgufArchitecture } from './gguf-architecture.ts';
import { quote } from '../../quote.ts';
import type { Json } from '../../json.ts';
import type { Metadata } from './metadata.ts';
import { ropeScaling } from './rope-scaling.ts';
import { shortestDecimal } from './shortest-decimal.ts';

/** The facts that config.json states, and that a GGUF file shows only by its tensors. */
export interface TensorFacts {
  readonly architecture: GgufArchitecture;
  /** Whether the file has a tensor of this name, which is llama.cpp's. */
  readonly has: (name: string) => boolean;
  /** The storage type of a tensor; undefined where the file does not have it. */
  readonly typeOf: (name: string) => string | undefined;
  /** The number of the embedding's rows. */
  readonly vocabSize: number;
  /** `rope_freqs.weight`: a divisor of each rotary frequency. */
  readonly ropeDivisors: Float32Array | undefined;
  /** LongRoPE's divisors: `rope_factors_long.weight` and `rope_factors_short.weight`. */
  readonly ropeFactors: { readonly long: Float32Array; readonly short: Float32Array } | undefined;
}

const MAX_LAYERS = 1024;
const MAX_HEADS = 65_536;

/**
 * config.json from the metadata, in the format of transformers 4, which version 5 reads as well. Fields that GGUF does not store
 * (initializer_range, dropout) have no effect on inference and are left out.
 * @throws {GgufError} when a key is missing or malformed, or has a value that the published architecture does not support
 */
export function ggufConfig(metadata: Metadata, facts: TensorFacts): Json {
  const { architecture, has } = facts;
  const prefix = metadata.need('text', 'general.architecture');
  const integer = (key: string) => metadata.get('integer', `${prefix}.${key}`);
  const number = (key: string) => shortestDecimal(metadata.get('number', `${prefix}.${key}`));
  const need = (key: string) => metadata.need('integer', `${prefix}.${key}`);

  const { hiddenSize, layers, heads, kvHeads, headDim } = dimensions(metadata);
  if (layers > MAX_LAYERS) metadata.fail(`${prefix}.block_count`, `${layers} layers, expected at most ${MAX_LAYERS}`);
  const theta = number('rope.freq_base') ?? 10_000;
  // llama.cpp stores Mistral as a llama; only Mistral has a sliding window.
  const slidingWindow = architecture.modelType === 'llama' ? integer('attention.sliding_window') : undefined;
  const isMistral = slidingWindow !== undefined && slidingWindow > 0;
  const flag = (key: string) => metadata.get('flag', `${prefix}.${key}`);
  if (flag('attention.causal') === false)
    metadata.fail(`${prefix}.attention.causal`, 'expected a model with causal attention, got false');
  const { ropeFactors } = facts;
  const { rotates = 'whole', hasRopeFactors = false } = architecture;
  const rotaryDim = rotates === 'whole' ? (integer('rope.dimension_count') ?? headDim) : headDim;
  if (rotaryDim !== headDim)
    metadata.fail(
      `${prefix}.rope.dimension_count`,
      `expected ${headDim}, all dimensions of a head, got ${rotaryDim}`,
      'Use the safetensors version of the model.',
    );
  if (ropeFactors !== undefined && !hasRopeFactors)
    metadata.fail(
      'rope_factors_long.weight',
      `expected no such tensor in a model of the architecture ${quote(prefix)}`,
      'Use the safetensors version of the model.',
    );
  const scaling = ropeScaling(metadata, {
    theta,
    headDim,
    divisors: facts.ropeDivisors,
    hasFactors: ropeFactors !== undefined,
  });

  return {
    architectures: [isMistral ? 'MistralForCausalLM' : architecture.className],
    model_type: isMistral ? 'mistral' : architecture.modelType,
    vocab_size: facts.vocabSize,
    hidden_size: hiddenSize,
    intermediate_size: need('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    hidden_act: 'silu',
    max_position_embeddings: need('context_length'),
    rms_norm_eps:
      number('attention.layer_norm_rms_epsilon') ??
      number('attention.layer_norm_epsilon') ??
      metadata.need('number', `${prefix}.attention.layer_norm_rms_epsilon`),
    rope_theta: theta,
    rope_scaling: scaling,
    ...(isMistral ? { sliding_window: slidingWindow } : {}),
    // Qwen2's q, k and v always have biases, and its config has no field for them.
    ...(architecture.modelType === 'qwen2' ? {} : { attention_bias: has('blk.0.attn_q.bias') }),
    ...(architecture.modelType === 'llama' ? { mlp_bias: has('blk.0.ffn_gate.bias') } : {}),
    tie_word_embeddings: !has('output.weight'),
    torch_dtype: 'bfloat16',
    use_cache: true,
    ...specialIds(metadata),
    ...architecture.config?.({
      number,
      flag,
      flags: (key) => (metadata.isArray(`${prefix}.${key}`) ? metadata.get('flags', `${prefix}.${key}`) : undefined),
      fail: (key, problem) => metadata.fail(`${prefix}.${key}`, problem, 'Use the safetensors version of the model.'),
      has,
      typeOf: facts.typeOf,
      sizes: { hiddenSize, layers, heads, headDim },
      ropeFactors,
      ropeScaling: scaling,
    }),
  };
}

/** The sizes of the model. @throws {GgufError} when one is missing, 0 or above its limit */
export function dimensions(metadata: Metadata) {
  const prefix = metadata.need('text', 'general.architecture');
  const positive = (key: string) => {
    const value = metadata.need('integer', `${prefix}.${key}`);
    return value > 0 ? value : metadata.fail(`${prefix}.${key}`, 'expected at least 1, got 0');
  };
  const optional = (key: string) =>
    metadata.get('integer', `${prefix}.${key}`) === undefined ? undefined : positive(key);
  const hiddenSize = positive('embedding_length');
  const heads = positive('attention.head_count');
  const kvHeads = optional('attention.head_count_kv') ?? heads;
  for (const count of [heads, kvHeads])
    if (count > MAX_HEADS)
      metadata.fail(`${prefix}.attention.head_count`, `expected at most ${MAX_HEADS}, got ${count}`);
  return {
    hiddenSize,
    layers: positive('block_count'),
    heads,
    kvHeads,
    headDim: optional('attention.key_length') ?? Math.floor(hiddenSize / heads),
  };
}

/** generation_config.json from the metadata: the tokens that end a text, and the sampling that the model's authors recommend. */
export function ggufGenerationConfig(metadata: Metadata): Json {
  const ids = specialIds(metadata);
  const stops = ['eos', 'eot', 'eom']
    .map((name) => metadata.get('integer', `tokenizer.ggml.${name}_token_id`))
    .filter((id) => id !== undefined);
  const eos = [...new Set(stops)];
  const sampling = Object.entries(SAMPLING)
    .map(([key, name]) => [name, shortestDecimal(metadata.get('number', `general.sampling.${key}`))] as const)
    .filter(([, value]) => value !== undefined);
  return {
    ...ids,
    ...(eos.length > 1 ? { eos_token_id: eos } : {}),
    ...(sampling.length > 0 ? { do_sample: true, ...Object.fromEntries(sampling) } : {}),
  };
}

const SAMPLING = {
  temp: 'temperature',
  top_k: 'top_k',
  top_p: 'top_p',
  min_p: 'min_p',
  penalty_repeat: 'repetition_penalty',
};

function specialIds(metadata: Metadata): Json {
  const ids = { bos_token_id: 'bos', eos_token_id: 'eos', pad_token_id: 'padding' };
  return Object.fromEntries(
    Object.entries(ids).flatMap(([name, key]) => {
      const id = metadata.get('integer', `tokenizer.ggml.${key}_token_id`);
      return id === undefined ? [] : [[name, id]];
    }),
  );
}
