import { swiglu as apply } from '../../tensor/ops/swiglu.ts';
import { defineSuite, F32_TOLERANCE } from '../suite.ts';

/** `silu(gate) * up`, `[T, F]`. */
export const swiglu = defineSuite({
  name: 'swiglu',
  cases: ({ config }, { tokens }) =>
    config.traits.includes('gated-mlp') && config.activation === 'silu'
      ? [{ site: 'layers.*.mlp', sizes: { T: tokens, F: config.mlpDim }, calls: config.nLayers }]
      : [],
  operands: ({ T, F }) => {
    const branch = (hook: string) =>
      ({
        kind: 'activation',
        shape: [T, F],
        rows: true,
        hook,
        fill: (draw, count) => draw.activations(count),
      }) satisfies ReturnType<typeof swiglu.operands>[string];
    return { gate: branch('mlp.hook_pre'), up: branch('mlp.hook_pre_linear') };
  },
  apply: ({ gate, up }) => apply(gate, up),
  output: ({ T, F }) => [T, F],
  flops: ({ T, F }) => 5 * T * F,
  tolerance: F32_TOLERANCE,
});
