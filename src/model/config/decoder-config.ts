import type { Activation } from '../../tensor/ops/activation.ts';
import type { ClampedSwigluOptions } from '../../tensor/ops/clamped-swiglu.ts';
import { readActivation } from './activation-names.ts';
import { ConfigError } from './config-error.ts';
import { above, fields, upTo } from './config-fields.ts';
import { parseRope, type RopeConfig } from './rope-config.ts';
import type { Json } from '../../json.ts';

/** The resolved numbers of a decoder: what the model code sees of config.json. A family adds its own. */
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
  readonly activation: Activation;
  /** Factor on `q . k`. */
  readonly attentionScale: number;
  /** Bound of the attention scores; undefined where there is none. */
  readonly attentionSoftCap: number | undefined;
  readonly tieEmbeddings: boolean;
  readonly biases: { readonly qkv: boolean; readonly o: boolean; readonly mlp: boolean };
  /** Keys that a query of each layer sees, itself included; Infinity for all. */
  readonly windows: readonly number[];
  /** How queries and keys of each layer are rotated by their position; undefined where they are not. */
  readonly ropes: readonly (RopeConfig | undefined)[];
  /** Whether an MLP has a gate and an up branch, not one branch only. */
  readonly gatedMlp: boolean;
  /** Whether each head has a logit for attending to nothing. */
  readonly attentionSinks: boolean;
  /** Mixtures of experts, where the model has some. */
  readonly experts?: ExpertsConfig | undefined;
  /** Multi-head latent attention, where the model has it. */
  readonly latent?: LatentConfig | undefined;
}

/** Layers whose MLP is a mixture of experts. */
export interface ExpertsConfig {
  /** E */
  readonly count: number;
  /** k: how many of them each token goes to. */
  readonly perToken: number;
  /** F: width of one expert. */
  readonly dim: number;
  /** Width of the expert that every token goes to; 0 for none. */
  readonly sharedDim: number;
  /** The clamped SwiGLU of gpt-oss; undefined where an expert uses `activation` as an MLP does. */
  readonly clamped?: ClampedSwigluOptions | undefined;
  /** Whether each layer is one. */
  readonly layers: readonly boolean[];
}

/** The sizes of multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1). */
export interface LatentConfig {
  /** rq; undefined where queries come straight from the stream. */
  readonly queryRank: number | undefined;
  /** r */
  readonly rank: number;
  /** dn: numbers of a head that are not rotated. */
  readonly nopeDim: number;
  /** dr: numbers of a head that are rotated; those of the key are shared by all heads. */
  readonly ropeDim: number;
  /** dv */
  readonly valueDim: number;
  /** Whether latents are cached and attended to, instead of keys and values of every head. */
  readonly absorbed: boolean;
}

/** What differs between families in the fields that all decoders share. */
export interface Family {
  /** Default of transformers where config.json has no value; so are those below. */
  readonly normEpsilon: number;
  readonly maxPositions: number;
  readonly tieEmbeddings: boolean;
  readonly theta?: number;
  /** Whether only `partial_rotary_factor` of a head is rotated. Default false: the field is not looked at. */
  readonly partialRotary?: boolean;
  readonly headDim?: number | undefined;
  readonly activation?: string;
  /** Default: `headDim ** -0.5`. */
  readonly attentionScale?: number;
  readonly attentionSoftCap?: number | undefined;
  /** The family's own names for fields, by those of Llama. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly biases?: DecoderConfig['biases'];
  /** Default true. */
  readonly gatedMlp?: boolean;
  /** Default false. */
  readonly attentionSinks?: boolean;
  /** Default: every query sees all keys. */
  readonly windows?: (nLayers: number) => readonly number[];
  /** Default: the rotary settings of config.json for every layer. */
  readonly ropes?: (sizes: RopeSizes) => DecoderConfig['ropes'];
}

/** The sizes by which a family makes the rotary settings of its layers. */
export interface RopeSizes {
  readonly nLayers: number;
  readonly headDim: number;
  readonly maxPositions: number;
}

/** Bounds of sizes: beyond any model there is, and small enough that a config cannot make sizes overflow or take all memory. */
export const LIMITS = {
  layers: 1024,
  dim: 2 ** 17,
  vocabulary: 2 ** 22,
  positions: 2 ** 24,
  heads: 4096,
  experts: 4096,
};

/**
 * Reads the fields that all decoders share, in transformers' names or the family's own.
 *
 * @throws {ConfigError} that names the field, what it must be, and what it is.
 */
export function readDecoderConfig(raw: Json, family: Family): DecoderConfig {
  const read = fields(raw);
  const key = (name: string): string => family.keys?.[name] ?? name;
  const dim = read.size(key('hidden_size'), upTo(LIMITS.dim));
  const nHeads = read.size(key('num_attention_heads'), upTo(LIMITS.heads));
  const nKvHeads = read.integer('num_key_value_heads', upTo(nHeads)) ?? nHeads;
  if (nHeads % nKvHeads !== 0)
    throw new ConfigError(
      `config.json: num_attention_heads ${nHeads} must be a multiple of num_key_value_heads ${nKvHeads}.`,
    );
  const headDim = read.integer('head_dim', upTo(LIMITS.dim)) ?? family.headDim ?? dim / nHeads;
  const nLayers = read.size(key('num_hidden_layers'), upTo(LIMITS.layers));
  const maxPositions = read.integer(key('max_position_embeddings'), upTo(LIMITS.positions)) ?? family.maxPositions;
  const sizes = { nLayers, headDim, maxPositions };
  const ropeDefaults = { theta: family.theta ?? 10000, partial: family.partialRotary, ...sizes };
  return wholeNumbers({
    modelType: String(raw.model_type),
    vocabSize: read.size('vocab_size', upTo(LIMITS.vocabulary)),
    dim,
    mlpDim: read.size(key('intermediate_size'), upTo(LIMITS.dim * 8)),
    nLayers,
    nHeads,
    nKvHeads,
    headDim,
    maxPositions,
    normEpsilon: read.number(key('rms_norm_eps'), above(0)) ?? family.normEpsilon,
    activation: readActivation(raw, key('hidden_act'), family.activation ?? 'silu'),
    attentionScale: family.attentionScale ?? headDim ** -0.5,
    attentionSoftCap: family.attentionSoftCap,
    tieEmbeddings: read.boolean('tie_word_embeddings') ?? family.tieEmbeddings,
    biases: family.biases ?? { qkv: false, o: false, mlp: false },
    windows: family.windows?.(nLayers) ?? repeat(Infinity, nLayers),
    ropes: family.ropes?.(sizes) ?? repeat(parseRope(raw, ropeDefaults), nLayers),
    gatedMlp: family.gatedMlp ?? true,
    attentionSinks: family.attentionSinks ?? false,
  });
}

/** The same for every layer. */
export const repeat = <T>(value: T, nLayers: number): T[] => new Array<T>(nLayers).fill(value);

const FRACTIONS: ReadonlySet<string> = new Set(['normEpsilon', 'attentionScale', 'attentionSoftCap']);

function wholeNumbers(config: DecoderConfig): DecoderConfig {
  for (const [name, value] of Object.entries(config)) {
    if (typeof value === 'number' && !FRACTIONS.has(name) && !Number.isInteger(value))
      throw new ConfigError(`config.json: ${name} must be a whole number, got ${value}.`);
  }
  return config;
}
