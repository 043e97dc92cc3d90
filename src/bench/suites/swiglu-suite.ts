import { swiglu as apply } from '../../tensor/ops/swiglu.ts';
import { defineSuite, F32_TOLERANCE } from './suite.ts';

/** `silu(gate) * up`, `[T, F]`. */
export const swiglu = defineSuite({
  name: 'swiglu',
  // The suite `experts` has the SwiGLU of routed experts.
  cases: ({ config: { gatedMlp, activation, mlpDim, nLayers, experts } }, { tokens: T }) => {
    if (!gatedMlp || activation !== 'silu') return [];
    const mixtures = experts?.layers.filter(Boolean).length ?? 0;
    const cases = [
      { site: 'layers.*.mlp', sizes: { T, F: mlpDim }, calls: nLayers - mixtures },
      { site: 'layers.*.mlp.shared', sizes: { T, F: experts?.sharedDim ?? 0 }, calls: mixtures },
    ];
    return cases.filter(({ sizes: { F }, calls }) => F > 0 && calls > 0);
  },
  operands: ({ T, F }, site) => {
    const branch = (hook: string) =>
      ({
        kind: 'activation',
        shape: [T, F],
        rows: true,
        hook: site.replace('layers.*.', '') + hook,
        fill: (draw, count) => draw.activations(count),
      }) satisfies ReturnType<typeof swiglu.operands>[string];
    return { gate: branch('.hook_pre'), up: branch('.hook_pre_linear') };
  },
  apply: ({ gate, up }) => apply(gate, up),
  output: ({ T, F }) => [T, F],
  flops: ({ T, F }) => 5 * T * F,
  tolerance: F32_TOLERANCE,
});
