import { ConfigError } from './config-error.ts';
import { above, fields, upTo } from './fields.ts';
import { parseRope, type RopeConfig } from './parts/rope.ts';
import type { Json } from '../json.ts';

/** The resolved numbers of a decoder: what the model code sees of config.json. */
export interface DecoderConfig {
  readonly modelType: string;
  /** V */
  readonly vocabSize: number;
  /** D */
  readonly dim: number;
  /** F */
  readonly mlpDim: number;
  readonly nLayers: number;
  /** H */
  readonly nHeads: number;
  /** K */
  readonly nKvHeads: number;
  /** d */
  readonly headDim: number;
  readonly maxPositions: number;
  readonly normEpsilon: number;
  readonly rope: RopeConfig;
  readonly tieEmbeddings: boolean;
  readonly biases: { readonly qkv: boolean; readonly o: boolean; readonly mlp: boolean };
  /** Whether queries and keys are normed before they turn. */
  readonly qkNorm: boolean;
  /** Keys that a query of each layer sees, itself included; Infinity for all. */
  readonly windows: readonly number[];
}

/** What transformers assumes where a config.json of this family says nothing. */
export interface DecoderDefaults {
  readonly normEpsilon: number;
  readonly maxPositions: number;
  readonly tieEmbeddings: boolean;
  readonly headDim?: number;
  readonly qkNorm?: boolean;
}

// Beyond any model there is; below what would make sizes overflow or a config of a few bytes ask for all memory.
const LIMITS = { layers: 1024, dim: 2 ** 17, vocabulary: 2 ** 22, positions: 2 ** 24, heads: 4096 };

/**
 * Reads the fields that all decoders share, in transformers' names.
 *
 * @throws ConfigError that names the field, what it must be, and what it is.
 */
export function readDecoderConfig(
  raw: Json,
  defaults: DecoderDefaults,
  biases: DecoderConfig['biases'],
  windows: (nLayers: number) => readonly number[],
): DecoderConfig {
  const read = fields(raw);
  const activation = raw.hidden_act ?? 'silu';
  if (activation !== 'silu' && activation !== 'swish')
    throw new ConfigError(
      `config.json: hidden_act ${JSON.stringify(activation)} is not supported here (supported: silu).`,
    );
  const dim = read.required('hidden_size', upTo(LIMITS.dim));
  const nHeads = read.required('num_attention_heads', upTo(LIMITS.heads));
  const nKvHeads = read.integer('num_key_value_heads', upTo(nHeads)) ?? nHeads;
  if (nHeads % nKvHeads !== 0)
    throw new ConfigError(
      `config.json: num_attention_heads ${nHeads} must be a multiple of num_key_value_heads ${nKvHeads}.`,
    );
  const headDim = read.integer('head_dim', upTo(LIMITS.dim)) ?? defaults.headDim ?? dim / nHeads;
  const nLayers = read.required('num_hidden_layers', upTo(LIMITS.layers));
  const maxPositions = read.integer('max_position_embeddings', upTo(LIMITS.positions)) ?? defaults.maxPositions;
  return wholeNumbers({
    modelType: String(raw.model_type),
    vocabSize: read.required('vocab_size', upTo(LIMITS.vocabulary)),
    dim,
    mlpDim: read.required('intermediate_size', upTo(LIMITS.dim * 8)),
    nLayers,
    nHeads,
    nKvHeads,
    headDim,
    maxPositions,
    normEpsilon: read.number('rms_norm_eps', above(0)) ?? defaults.normEpsilon,
    rope: parseRope(raw, { theta: 10000, headDim, maxPositions }),
    tieEmbeddings: read.boolean('tie_word_embeddings') ?? defaults.tieEmbeddings,
    biases,
    qkNorm: defaults.qkNorm ?? false,
    windows: windows(nLayers),
  });
}

function wholeNumbers(config: DecoderConfig): DecoderConfig {
  for (const [name, value] of Object.entries(config)) {
    if (typeof value === 'number' && name !== 'normEpsilon' && !Number.isInteger(value))
      throw new ConfigError(`config.json: ${name} must be a whole number, got ${value}.`);
  }
  return config;
}
