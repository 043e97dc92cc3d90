import { rotationTables } from '../../model/parts/rope.ts';
import { rotate as apply } from '../../tensor/ops/rotate.ts';
import { defineSuite, F32_TOLERANCE } from './suite.ts';

/** Rotary position embedding of queries and keys `[T, H, d]` by angles `[T, R/2]`. */
export const rotate = defineSuite({
  name: 'rotate',
  cases: ({ config: { ropes, nHeads, nKvHeads, headDim: d } }, { tokens: T, depth }) => {
    const rotary = ropes.filter((rope) => rope !== undefined);
    if (rotary.length === 0) return [];
    const common = { T, d, R: rotary[0].rotaryDim, theta: rotary[0].theta, start: Math.max(0, depth - T) };
    return [
      { site: 'layers.*.attn.q', sizes: { ...common, H: nHeads }, calls: rotary.length },
      { site: 'layers.*.attn.k', sizes: { ...common, H: nKvHeads }, calls: rotary.length },
    ];
  },
  operands: ({ T, H, d, R, theta, start }, site) => {
    const positions = Array.from({ length: T }, (_, t) => start + t);
    const rope = { rotaryDim: R, theta, maxPositions: start + T, scaling: { type: 'default' } } as const;
    const { cos, sin } = rotationTables(rope, positions, start + T);
    return {
      x: {
        kind: 'activation',
        shape: [T, H, d],
        rows: true,
        hook: site.endsWith('.q') ? 'attn.hook_q' : 'attn.hook_k',
        fill: (draw, count) => draw.activations(count),
      },
      cos: { kind: 'vector', shape: [T, R / 2], rows: true, fill: () => cos },
      sin: { kind: 'vector', shape: [T, R / 2], rows: true, fill: () => sin },
    };
  },
  apply: ({ x, cos, sin }) => apply(x, { cos, sin }),
  output: ({ T, H, d }) => [T, H, d],
  flops: ({ T, H, R }) => 3 * T * H * R,
  tolerance: F32_TOLERANCE,
});
