import { defineSuite } from '../suite.ts';

/** Softmax of the attention scores, `[H, T, S]`, along the keys. */
export const softmax = defineSuite({
  name: 'softmax',
  cases: ({ config: { nHeads, nLayers } }, { tokens, depth }) => [
    { site: 'layers.*.attn', sizes: { T: nHeads * tokens, S: Math.max(tokens, depth) }, calls: nLayers },
  ],
  operands: ({ T, S }) => ({
    x: { kind: 'activation', shape: [T, S], rows: true, fill: (draw, count) => draw.activations(count) },
  }),
  apply: ({ x }) => x.softmax(),
  output: ({ T, S }) => [T, S],
  flops: ({ T, S }) => 5 * T * S,
  // exp is a polynomial, good to a few units in the last place of its result.
  tolerance: { relative: 1e-5, ofRow: 1e-6, absolute: 2 ** -120 },
});
