import { isObject, type Json } from '../../json.ts';
import { invalid } from './config-fields.ts';

/** Multimodal models whose older configs keep the fields of the language model at the top. */
const FLAT: Readonly<Record<string, string>> = { qwen2_vl: 'qwen2_vl_text', qwen2_5_vl: 'qwen2_5_vl_text' };

/** Language models that are an architecture of another name: for text alone they compute the same. */
const SAME_AS: Readonly<Record<string, string>> = {
  qwen2_vl_text: 'qwen2',
  qwen2_5_vl_text: 'qwen2',
  qwen3_vl_text: 'qwen3',
};

/** Sizes that transformers assumes where `text_config` says nothing: published ones leave out what is as here. */
const SIZES: Readonly<
  Record<string, readonly [V: number, D: number, F: number, layers: number, H: number, K: number]>
> = {
  llama: [32000, 4096, 11008, 32, 32, 32],
  mistral: [32000, 4096, 14336, 32, 32, 8],
  qwen2: [151936, 4096, 22016, 32, 32, 32],
  qwen3: [151936, 4096, 22016, 32, 32, 32],
  gemma3_text: [262208, 2304, 9216, 26, 8, 4],
};

/** The type of the language model where `text_config` does not say. */
const UNSAID: Readonly<Record<string, string>> = { gemma3: 'gemma3_text', mistral3: 'mistral', llava: 'llama' };

/**
 * The configuration of the language model in a multimodal one, as that of a model of its own; any other configuration
 * as it is.
 */
export function textConfig(raw: Json): Json {
  const whole = String(raw.model_type);
  const nested: unknown =
    raw.text_config ?? (Object.hasOwn(FLAT, whole) ? { ...raw, model_type: FLAT[whole] } : undefined);
  if (nested === undefined && !Object.hasOwn(UNSAID, whole)) return raw;
  if (!isObject(nested)) throw invalid('text_config', 'an object', nested);
  const named = nested.model_type ?? (Object.hasOwn(UNSAID, whole) ? UNSAID[whole] : undefined);
  const type = typeof named === 'string' && Object.hasOwn(SAME_AS, named) ? SAME_AS[named] : named;
  const { rope_scaling: scaling } = nested;
  return {
    ...(typeof type === 'string' && Object.hasOwn(SIZES, type) ? sizesOf(type) : {}),
    ...(raw.tie_word_embeddings === undefined ? {} : { tie_word_embeddings: raw.tie_word_embeddings }),
    ...(raw.quantization_config === undefined ? {} : { quantization_config: raw.quantization_config }),
    ...nested,
    // Text has the same position on all three axes, so its angles are those of a single one.
    ...(isObject(scaling) && (scaling.rope_type ?? scaling.type) === 'mrope' ? { rope_scaling: null } : {}),
    model_type: type,
  };
}

function sizesOf(type: string): Json {
  const [vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads] =
    SIZES[type];
  return { vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads };
}
