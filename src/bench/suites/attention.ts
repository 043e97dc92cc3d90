import { attention as apply } from '../../tensor/ops/attention.ts';
import { defineSuite, F32_TOLERANCE } from '../suite.ts';

/** Scores, mask, softmax and mix: T queries `[T, H, d]` by S keys and values `[K, S, d]` in the cache. */
export const attention = defineSuite({
  name: 'attention',
  // Without the cache's spare slots; a layer with a window sees no more than that.
  cases: ({ config: { nHeads: H, nKvHeads: K, headDim: d, windows }, cacheLayout }, { tokens: T, depth }) => {
    if (cacheLayout.some(({ keyDim, valueDim }) => keyDim !== d || valueDim !== d)) return [];
    const total = Math.max(T, depth);
    const spans = T === 1 ? windows.map((window) => Math.min(window, total)) : windows.map(() => total);
    return [...new Set(spans)].map((S) => ({
      site: 'layers.*.attn',
      sizes: { T, S, H, K, d },
      calls: spans.filter((span) => span === S).length,
    }));
  },
  operands: ({ T, S, H, K, d }) => ({
    q: {
      kind: 'activation',
      shape: [T, H, d],
      rows: true,
      hook: 'attn.hook_rot_q',
      fill: (draw, count) => draw.activations(count),
    },
    keys: {
      kind: 'store',
      shape: [K, S, d],
      rows: false,
      hook: 'kv.hook_k',
      fill: (draw, count) => draw.weights(count, 1),
    },
    values: {
      kind: 'store',
      shape: [K, S, d],
      rows: false,
      hook: 'kv.hook_v',
      fill: (draw, count) => draw.weights(count, 1),
    },
    ...(T > 1 && { mask: { kind: 'vector', shape: [T, S], rows: true, fill: () => causalMask(T, S) } }),
  }),
  apply: ({ q, keys, values, mask }, { sizes: { d } }) => {
    const positions = Int32Array.from({ length: keys.shape[1] }, (_, slot) => slot);
    return apply(q, [{ begin: 0, end: q.shape[0], keys, values, mask, positions }], { scale: d ** -0.5 });
  },
  output: ({ T, H, d }) => [T, H, d],
  flops: ({ T, S, H, d }) => 4 * T * S * H * d + 5 * T * S * H,
  tolerance: F32_TOLERANCE,
});

/** 0 where a row may look, -Infinity at keys after it. */
function causalMask(T: number, S: number): Float32Array {
  const mask = new Float32Array(T * S);
  for (let t = 0; t < T; t++) mask.fill(-Infinity, t * S + (S - T) + t + 1, (t + 1) * S);
  return mask;
}
