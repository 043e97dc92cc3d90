import { defineSuite } from './suite.ts';

/** Softmax of attention scores over the keys. A row is a head's query: T counts heads times queries. */
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
  // Kernels compute exp by a polynomial, right to a few units in the last place.
  tolerance: { relative: 1e-5, ofRow: 1e-6, absolute: 2 ** -120 },
});
