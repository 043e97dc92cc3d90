import { attention as apply } from '../../tensor/ops/attention.ts';
import type { OperandSpec } from '../inputs/operand-spec.ts';
import { defineSuite, F32_TOLERANCE, type Sizes } from './suite.ts';

/**
 * `softmax(q k^T / sqrt(d) + mask) v` of T queries `[T, H, d]` with S cached keys `[K, S, d]` and values `[K, S, dv]`; H heads share
 * K heads of keys. In a layer that caches latents, `latent` is 1, and the first `dv` numbers of each key are its value.
 */
export const attention = defineSuite({
  name: 'attention',
  // S counts the cached tokens without the cache's spare slots, and at most a layer's window.
  cases: ({ config: { nHeads: H }, cacheLayout }, { tokens: T, depth }) => {
    const total = Math.max(T, depth);
    const found = new Map<string, { sizes: Sizes; calls: number }>();
    for (const { nKvHeads: K, keyDim: d, valueDim, latentDim, window } of cacheLayout) {
      const S = T === 1 ? Math.min(window, total) : total;
      const sizes = { T, S, H, K, d, dv: valueDim === 0 ? latentDim! : valueDim, ...(valueDim === 0 && { latent: 1 }) };
      const key = JSON.stringify(sizes);
      found.set(key, { sizes, calls: (found.get(key)?.calls ?? 0) + 1 });
    }
    return [...found.values()].map((one) => ({ site: 'layers.*.attn', ...one }));
  },
  operands: ({ T, S, H, K, d, dv, latent }) => {
    const store = (width: number, hook: string): OperandSpec => ({
      kind: 'store',
      shape: [K, S, width],
      rows: false,
      hook: latent ? undefined : hook,
      fill: (draw, count) => draw.weights(count, 1),
    });
    return {
      q: {
        kind: 'activation',
        shape: [T, H, d],
        rows: true,
        hook: latent ? undefined : 'attn.hook_rot_q',
        fill: (draw, count) => draw.activations(count),
      },
      keys: store(d, 'kv.hook_k'),
      ...(!latent && { values: store(dv, 'kv.hook_v') }),
      ...(T > 1 && { mask: { kind: 'vector', shape: [T, S], rows: true, fill: () => causalMask(T, S) } }),
    };
  },
  apply: ({ q, keys, values = keys, mask }, { sizes: { d, dv } }) => {
    const positions = Int32Array.from({ length: keys.shape[1] }, (_, slot) => slot);
    const sequence = { begin: 0, end: q.shape[0], keys, values, mask, positions };
    return apply(q, [sequence], { scale: d ** -0.5, valueDim: dv });
  },
  output: ({ T, H, dv }) => [T, H, dv],
  flops: ({ T, S, H, d, dv }) => 2 * T * S * H * (d + dv) + 5 * T * S * H,
  tolerance: F32_TOLERANCE,
});

/** `[T, S]`: 0 at keys up to the query's own position, -Infinity at later ones. */
function causalMask(T: number, S: number): Float32Array {
  const mask = new Float32Array(T * S);
  for (let t = 0; t < T; t++) mask.fill(-Infinity, t * S + (S - T) + t + 1, (t + 1) * S);
  return mask;
}
