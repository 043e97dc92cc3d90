// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { plus } from './arrangement.ts';
import { type DecoderConfig, readDecoderConfig, type RopeSizes } from './decoder-config.ts';
import { above, fields, invalid, upTo } from './fields.ts';
import { gemmaDecoder, gemmaFamily, softCap } from './gemma2.ts';
import { slidingLayers, slidingWindow, windowsOf } from './layer-types.ts';
import type { Decoder, TrunkNames } from './parts/decoder.ts';
import { parseRope, type RopeConfig } from './parts/rope.ts';
import { QkNormAttention } from './qwen3.ts';
import type { Weights } from './weights.ts';
import { isObject, type Json } from '../json.ts';

/** Gemma 3: Gemma 2 with normed queries and keys, five windows to one full layer, and a rotary base for each of the two. */
export function gemma3Text(raw: Json, weights: Weights): Decoder {
  return build(raw, weights);
}

/** The text half of a Gemma 3 that also sees: its config is in `text_config`, its vision half is left out. */
export function gemma3(raw: Json, weights: Weights): Decoder {
  const text = raw.text_config;
  if (!isObject(text)) throw invalid('text_config', 'an object', text);
  weights.ignore(/^(model\.)?(vision_tower|multi_modal_projector)\./);
  // transformers 4 wrote language_model.model.*, transformers 5 writes model.language_model.*.
  const newer = weights.has('model.language_model.embed_tokens.weight');
  const prefix = newer ? 'model.language_model' : 'language_model.model';
  const names = {
    embed: `${prefix}.embed_tokens`,
    layers: `${prefix}.layers`,
    norm: `${prefix}.norm`,
    lmHead: newer ? 'lm_head' : 'language_model.lm_head',
  };
  const tied = raw.tie_word_embeddings === undefined ? {} : { tie_word_embeddings: raw.tie_word_embeddings };
  return build({ ...SIZES, ...tied, ...text, model_type: raw.model_type }, weights, names);
}

/** What transformers assumes where `text_config` says nothing: published ones leave out what is as here. */
const SIZES = {
  vocab_size: 262208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
};

function build(raw: Json, weights: Weights, names?: TrunkNames): Decoder {
  const bounded = softCap(raw, 'attn_logit_softcapping', undefined);
  if (bounded !== undefined)
    throw invalid('attn_logit_softcapping', 'null: Gemma 3 does not bound its scores', bounded);
  const pattern = fields(raw).integer('sliding_window_pattern', upTo(1024)) ?? 6;
  const sliding = (n: number): boolean[] => slidingLayers(raw, n, (layer) => (layer + 1) % pattern !== 0);
  const family = gemmaFamily(raw);
  const config = readDecoderConfig(raw, {
    ...family,
    traits: [...(family.traits ?? []), 'qk-norm'],
    windows: (n) => windowsOf(sliding(n), slidingWindow(raw, 4096)),
    ropes: (sizes) => ropes(raw, sliding(sizes.nLayers), sizes),
  });
  const attention = (of: DecoderConfig, layer: Weights, index: number): QkNormAttention =>
    new QkNormAttention(of, layer, index, plus(1));
  const logitSoftCap = softCap(raw, 'final_logit_softcapping', undefined);
  return gemmaDecoder(config, weights, attention, { logitSoftCap, ...(names && { names }) });
}

/** Full layers turn by `rope_theta` and `rope_scaling`, sliding ones by `rope_local_base_freq`; transformers 5 nests both. */
function ropes(raw: Json, sliding: readonly boolean[], sizes: RopeSizes): DecoderConfig['ropes'] {
  const read = fields(raw);
  const nested = raw.rope_parameters ?? undefined;
  const of = (type: string, theta: number, older: Json): RopeConfig => {
    const own = isObject(nested) && isObject(nested[type]) ? { rope_parameters: nested[type] } : older;
    return parseRope(own, { theta, ...sizes });
  };
  const full = of('full_attention', read.number('rope_theta', above(1)) ?? 1e6, { rope_scaling: raw.rope_scaling });
  const local = of('sliding_attention', read.number('rope_local_base_freq', above(1)) ?? 1e4, {});
  return sliding.map((slides) => (slides ? local : full));
}
