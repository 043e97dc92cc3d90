import { rmsNorm as apply } from '../../tensor/ops/rms-norm.ts';
import { defineSuite, F32_TOLERANCE } from './suite.ts';

/** Near the epsilon of every model; only rows near zero depend on it. */
const EPSILON = 1e-5;

/** `x / sqrt(mean(x^2) + epsilon) * weight`, `[T, D]`, of the residual stream: before attention, before the MLP, and at the end. */
export const rmsNorm = defineSuite({
  name: 'rms-norm',
  cases: ({ config: { dim, nLayers } }, { tokens }) => [
    { site: 'norms', sizes: { T: tokens, D: dim }, calls: 2 * nLayers + 1 },
  ],
  operands: ({ T, D }) => ({
    x: {
      kind: 'activation',
      shape: [T, D],
      rows: true,
      hook: 'hook_resid_pre',
      fill: (draw, count) => draw.activations(count),
    },
    weight: { kind: 'vector', shape: [D], rows: false, fill: (draw, count) => draw.weights(count, 1) },
  }),
  apply: ({ x, weight }) => apply(x, weight, EPSILON, ''),
  output: ({ T, D }) => [T, D],
  flops: ({ T, D }) => 4 * T * D,
  tolerance: F32_TOLERANCE,
});
