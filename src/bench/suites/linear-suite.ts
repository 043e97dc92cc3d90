import { linear as apply } from '../../tensor/ops/linear.ts';
import { defineSuite, F32_TOLERANCE } from './suite.ts';

/** The hook point that holds the input of a matrix, by the matrix's name in any family. */
const HOOKS: readonly (readonly [RegExp, string])[] = [
  [/^lm_head$/, 'ln_final.hook_out'],
  [/(q_proj|qkv_proj|c_attn|query_key_value)/, 'attn.hook_in'],
  [/(o_proj|attn\.c_proj|attention\.dense)$/, 'attn.hook_z'],
  [/\.mlp\.(gate|router)$|block_sparse_moe\.gate$/, 'mlp.router.hook_in'],
  [/shared_experts\.down_proj$/, 'mlp.shared.hook_post'],
  [/(gate_proj|gate_up_proj|c_fc|dense_h_to_4h)/, 'mlp.hook_in'],
  [/(down_proj|mlp\.c_proj|dense_4h_to_h)$/, 'mlp.hook_post'],
];

/** `x W^T`, `[T, K]` by `[N, K]`: the products with weights, which take nearly all of the time. */
export const linear = defineSuite({
  name: 'linear',
  cases: ({ matrices }, { tokens }) =>
    matrices.map(({ site, shape: [N, K], stored, count, isHead }) => ({
      site,
      sizes: { T: isHead ? 1 : tokens, K, N },
      calls: count,
      stored,
    })),
  operands: ({ T, K, N }, site) => ({
    x: {
      kind: 'activation',
      shape: [T, K],
      rows: true,
      hook: HOOKS.find(([pattern]) => pattern.test(site))?.[1],
      fill: (draw, count) => draw.activations(count),
    },
    w: { kind: 'matrix', shape: [N, K], rows: false, fill: (draw, count) => draw.weights(count, K ** -0.5) },
  }),
  apply: ({ x }, { sizes: { N }, matrices: { w }, compute }) =>
    apply(x, { weight: w, bias: undefined, sizes: [N], compute }),
  output: ({ T, N }) => [T, N],
  flops: ({ T, K, N }) => 2 * T * K * N,
  signedSums: ({ x, w }, { T, K, N }, signs) => {
    const direction = new Float64Array(K); // W^T signs
    for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) direction[k] += signs[n] * w[n * K + k];
    return Float64Array.from({ length: T }, (_, t) => {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[t * K + k] * direction[k];
      return sum;
    });
  },
  tolerance: F32_TOLERANCE,
});
