// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { readDecoderConfig } from '../config/decoder-config.ts';
import { fields, invalid, upTo } from '../config/config-fields.ts';
import { slidingWindows } from '../config/layer-types.ts';
import { llamaBlock } from './llama.ts';
import { type Decoder, decoder } from '../parts/decoder.ts';
import { parseRope } from '../config/rope-config.ts';
import type { Weights } from '../weights/weights.ts';
import type { Json } from '../../json.ts';

/** SmolLM3: Llama, but every fourth layer has no positions (NoPE, arXiv 2501.18795): its queries and keys are not rotated. */
export function smollm3(raw: Json, weights: Weights): Decoder {
  const read = fields(raw);
  const bias = read.boolean('attention_bias') ?? false;
  const uses = read.boolean('use_sliding_window') ?? false;
  const config = readDecoderConfig(raw, {
    normEpsilon: 1e-6,
    maxPositions: 32768,
    tieEmbeddings: true,
    biases: { qkv: bias, o: bias, mlp: read.boolean('mlp_bias') ?? false },
    windows: (n) =>
      slidingWindows(raw, n, { slides: (layer) => uses && !rotaryLayers(raw, n)[layer], window: Infinity }),
    ropes: ({ nLayers, ...sizes }) => {
      const rope = parseRope(raw, { theta: 2e6, ...sizes });
      return rotaryLayers(raw, nLayers).map((rotates) => (rotates ? rope : undefined));
    },
  });
  return decoder(config, weights, (layer, index) => llamaBlock(config, index, layer));
}

/** `no_rope_layers` says the opposite of its name: 1 where a layer rotates. It may be longer than there are layers. */
function rotaryLayers(raw: Json, nLayers: number): boolean[] {
  const given: unknown = raw.no_rope_layers ?? undefined;
  if (given === undefined) {
    const interval = fields(raw).integer('no_rope_layer_interval', upTo(1024)) ?? 4;
    return Array.from({ length: nLayers }, (_, layer) => (layer + 1) % interval !== 0);
  }
  if (!Array.isArray(given) || given.length < nLayers)
    throw invalid('no_rope_layers', `a list of at least ${nLayers} numbers, one for each layer`, given);
  return given.slice(0, nLayers).map((rotates: unknown, layer) => {
    if (rotates === 0 || rotates === 1) return rotates === 1;
    throw invalid(`no_rope_layers[${layer}]`, '1 (rotates) or 0', rotates);
  });
}
