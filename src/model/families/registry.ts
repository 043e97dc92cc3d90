import { ConfigError } from '../config/config-error.ts';
import { show } from '../../options.ts';
import type { Architecture } from './architecture.ts';
import { deepseekV2 } from './deepseek_v2.ts';
import { deepseekV3 } from './deepseek_v3.ts';
import { gemma2 } from './gemma2.ts';
import { gemma3Text } from './gemma3_text.ts';
import { gpt2 } from './gpt2.ts';
import { gptNeox } from './gpt_neox.ts';
import { gptOss } from './gpt_oss.ts';
import { llama } from './llama.ts';
import { mixtral } from './mixtral.ts';
import { olmo2 } from './olmo2.ts';
import { phi3 } from './phi3.ts';
import { qwen3 } from './qwen3.ts';
import { qwen3Moe } from './qwen3_moe.ts';
import { smollm3 } from './smollm3.ts';
import { textConfig } from '../config/text-config.ts';
import type { Json } from '../../json.ts';

/** `model_type` of config.json to the architecture that runs it. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama,
  mistral: llama,
  qwen2: llama,
  granite: llama,
  qwen3,
  qwen3_moe: qwen3Moe,
  mixtral,
  gpt_oss: gptOss,
  deepseek_v2: deepseekV2,
  deepseek_v3: deepseekV3,
  gemma2,
  gemma3_text: gemma3Text,
  phi3,
  smollm3,
  olmo2,
  gpt2,
  gpt_neox: gptNeox,
};

/**
 * The architecture that a config.json names, and the config that it reads: for a multimodal model, that of its language
 * model.
 *
 * @throws {ConfigError} if no architecture has this `model_type`.
 */
export function architectureOf(config: Json): { readonly build: Architecture; readonly config: Json } {
  const text = textConfig(config);
  const type = text.model_type;
  if (typeof type === 'string' && Object.hasOwn(ARCHITECTURES, type))
    return { build: ARCHITECTURES[type], config: text };
  throw new ConfigError(
    `config.json: model_type ${type === undefined ? 'is missing and' : show(type)} is not supported ` +
      `(supported: ${Object.keys(ARCHITECTURES).join(', ')}).`,
  );
}

/** Names of stored tensors that no architecture computes with: buffers in old exports. */
export const IGNORED_TENSORS: readonly RegExp[] = [/\.rotary_emb\.inv_freq$/, /\.rotary_emb\.(cos|sin)_cached$/];
