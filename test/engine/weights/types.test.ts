// What the compiler knows of weights: `tsc` checks this file, and fails where a line under `@ts-expect-error` compiles.
import { describe, expect, it } from 'vitest';
import { load, type WeightEdit, type WeightEdits, WeightError, type WeightName } from '../../../src/index.ts';
import { modelFolder } from '../../support/fixtures.ts';

describe('the compiler', () => {
  it('refuses the name of a weight that no model has, and so does the program', async () => {
    using model = await load(modelFolder('llama_gqa_tied'), { compute: 'f32' });
    const { weights } = model;
    const edit: WeightEdit = () => undefined;
    const layer = 0;
    // @ts-expect-error: W_q is misspelt
    expect(() => weights.get('blocks.0.attn.W_q')).toThrow(WeightError);
    // @ts-expect-error: there is no such weight outside of blocks
    expect(() => weights.shape('W_Embed')).toThrow(WeightError);
    // @ts-expect-error: only the layer is not known to the compiler
    expect(() => weights.get(`blocks.${layer as number}.attn.W_q`)).toThrow(WeightError);
    // @ts-expect-error: edits have the same names
    expect(() => model.withWeights({ 'blocks.0.mlp.W_up': edit }, () => 0)).toThrow(WeightError);
    // @ts-expect-error: a hook is no weight
    expect(() => model.withWeights({ W_E: edit, hook_embed: edit }, () => 0)).toThrow(WeightError);
  });

  it('takes names that it knows, and those that the program makes when it runs', async () => {
    using model = await load(modelFolder('llama_gqa_tied'), { compute: 'f32' });
    const { weights } = model;
    const known: WeightName[] = ['W_E', 'blocks.0.attn.W_Q', 'blocks.1.mlp.W_in'];
    for (const name of [...known, ...weights.names]) {
      using weight = weights.get(name);
      expect(weight.shape).toEqual(weights.shape(name));
    }
    for (let layer = 0; layer < model.config.nLayers; layer++) {
      const name = `blocks.${layer}.attn.W_O` as const;
      const sum = (): number => {
        using weight = weights.get(name);
        return weight.data().reduce((total, x) => total + x, 0);
      };
      expect(model.withWeights({ [`blocks.${layer}.attn.W_O`]: (W) => W.mul(0) }, sum)).toBe(0);
      expect(model.withWeights({ [name]: (W) => W.mul(0), 'blocks.0.attn.W_Q': (W) => W }, sum)).toBe(0);
    }
    const all: WeightEdits = Object.fromEntries(weights.names.map((name): [string, WeightEdit] => [name, (W) => W]));
    expect(model.withWeights(all, () => 7)).toBe(7);
  });
});
