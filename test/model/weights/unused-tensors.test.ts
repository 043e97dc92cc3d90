import { describe, expect, it } from 'vitest';
import { sortUnused, type Trunk } from '../../../src/model/weights/unused-tensors.ts';

const HEAD = { head: 'lm_head', layers: 'layers', nLayers: 2 };
const NESTED: Trunk = { ...HEAD, path: 'model.text_model' };

describe('tensors that nobody asked for', () => {
  it.each<[string, Trunk, string[], string[], string[]]>([
    [
      'of a layer that is computed are unknown',
      NESTED,
      ['model.text_model.layers.1.extra.weight'],
      ['model.text_model.layers.1.extra.weight'],
      [],
    ],
    [
      'of later layers are not used',
      NESTED,
      ['model.text_model.layers.2.a.weight', 'model.text_model.layers.10.a.weight'],
      [],
      ['2 tensors of layers after the first 2 (num_hidden_layers) not used.'],
    ],
    [
      'beside the model are told by where their names leave its path',
      NESTED,
      ['model.visual.a.weight', 'model.visual.b.c.weight', 'visual.a.weight', 'model.scale', 'scale'],
      [],
      ['5 tensors outside of the language model not used: model.visual (2), visual (1), model (1), scale (1).'],
    ],
    [
      'of a name that begins like the path lie beside it',
      NESTED,
      ['model.text_model_2.layers.0.a'],
      [],
      ['1 tensor outside of the language model not used: model.text_model_2 (1).'],
    ],
    [
      'of more than five parts are counted',
      NESTED,
      ['a.x', 'b.x', 'c.x', 'd.x', 'e.x', 'f.x'],
      [],
      ['6 tensors outside of the language model not used: a (1), b (1), c (1), d (1), e (1), ….'],
    ],
    ['of the head are unknown, wherever it lies', NESTED, ['lm_head.bias'], ['lm_head.bias'], []],
    ['in the model itself are unknown', { ...HEAD, path: '' }, ['extra.weight'], ['extra.weight'], []],
    [
      'of known other parts are not used, where the model lies at the top',
      { ...HEAD, path: '' },
      ['score.weight', 'vision_tower.a', 'multi_modal_projector.b'],
      [],
      ['3 tensors outside of the language model not used: score (1), vision_tower (1), multi_modal_projector (1).'],
    ],
    [
      'are factors of a cache',
      NESTED,
      ['model.text_model.layers.0.self_attn.k_scale', 'model.text_model.layers.1.self_attn.attn.kv_scale'],
      [],
      ['2 tensors with factors of a quantised cache not used: the cache is f32.'],
    ],
    [
      'are no factors of a cache beside the model',
      NESTED,
      ['model.layers.0.self_attn.k_scale'],
      [],
      ['1 tensor outside of the language model not used: model.layers (1).'],
    ],
  ])('%s', (_, trunk, names, unknown, notes) => {
    expect(sortUnused(names, trunk)).toEqual({ unknown, notes });
  });

  it('of a model that does not say where it lies are unknown', () => {
    expect(sortUnused(['a', 'b.c'], undefined)).toEqual({ unknown: ['a', 'b.c'], notes: [] });
  });
});
