// T new tokens, D model width, H query heads, K key/value heads, d head width, F MLP width, V vocabulary.
import { plus } from '../weights/arrangement.ts';
import { type DecoderConfig, readDecoderConfig, type RopeSizes } from '../config/decoder-config.ts';
import { above, fields, invalid, upTo } from '../config/config-fields.ts';
import { gemmaDecoder, gemmaFamily, softCap } from './gemma2.ts';
import { slidingLayers, slidingWindow, windowsOf } from '../config/layer-types.ts';
import type { Decoder } from '../parts/decoder.ts';
import { parseRope, type RopeConfig } from '../config/rope-config.ts';
import type { Weights } from '../weights/weights.ts';
import { isObject, type Json } from '../../json.ts';

/** Gemma 3: Gemma 2 with normed queries and keys, five windows to one full layer, and a rotary base for each of the two. */
export function gemma3Text(raw: Json, weights: Weights): Decoder {
  const bounded = softCap(raw, 'attn_logit_softcapping', undefined);
  if (bounded !== undefined)
    throw invalid('attn_logit_softcapping', 'null: Gemma 3 does not bound its scores', bounded);
  const pattern = fields(raw).integer('sliding_window_pattern', upTo(1024)) ?? 6;
  const sliding = (n: number): boolean[] => slidingLayers(raw, n, (layer) => (layer + 1) % pattern !== 0);
  const config = readDecoderConfig(raw, {
    ...gemmaFamily(raw),
    windows: (n) => windowsOf(sliding(n), slidingWindow(raw, 4096)),
    ropes: (sizes) => ropes(raw, sliding(sizes.nLayers), sizes),
  });
  const logitSoftCap = softCap(raw, 'final_logit_softcapping', undefined);
  return gemmaDecoder(config, weights, { logitSoftCap, attention: { qkNorm: 'head', gain: plus(1) } });
}

/** Full layers rotate by `rope_theta` and `rope_scaling`, sliding ones by `rope_local_base_freq`; transformers 5 nests both. */
function ropes(raw: Json, sliding: readonly boolean[], sizes: RopeSizes): DecoderConfig['ropes'] {
  const read = fields(raw);
  const nested = raw.rope_parameters ?? undefined;
  const of = (type: string, theta: number, older: Json): RopeConfig => {
    const given = isObject(nested) && isObject(nested[type]) ? nested[type] : undefined;
    const scaling = isObject(older.rope_scaling) ? older.rope_scaling : {};
    const own = given ? { rope_parameters: { ...given, ...scaling } } : older;
    return parseRope(own, { theta, ...sizes });
  };
  const full = of('full_attention', read.number('rope_theta', above(1)) ?? 1e6, { rope_scaling: raw.rope_scaling });
  const local = of('sliding_attention', read.number('rope_local_base_freq', above(1)) ?? 1e4, {});
  return sliding.map((slides) => (slides ? local : full));
}
