import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadNetwork } from '../../../src/engine/load/load-network.ts';
import { planNetwork } from '../../../src/engine/load/plan-network.ts';
import type { Checkpoint, ModelFiles } from '../../../src/loader/model-files.ts';
import { openFolder } from '../../../src/loader/folder/open-folder.ts';
import { ConfigError } from '../../../src/model/config/config-error.ts';
import type { DecoderConfig } from '../../../src/model/config/decoder-config.ts';
import { ReferenceBackend } from '../../../src/tensor/reference/reference-backend.ts';
import { expectAsTransformers, expectNear, LOGITS, modelFolder, readExpected, Runner } from '../../support/fixtures.ts';

type Changes = Record<string, unknown>;

/** The config that a fixture's files resolve to, with fields changed. */
async function resolved(name: string, changes: Changes): Promise<DecoderConfig> {
  const files = await openFolder(modelFolder(name));
  try {
    return planNetwork({ ...files, config: { ...files.config, ...changes } }).network.config;
  } finally {
    await files.checkpoint.close();
  }
}

describe('a field that changes the computation', () => {
  const longrope = { type: 'longrope', short_factor: [1, 1], long_factor: [1, 1] };
  // prettier-ignore
  it.each<[string, Changes, RegExp]>([
    ['gemma2', { hidden_activation: 'geglu' }, /hidden_activation "geglu" is not supported here \(supported: silu, /],
    ['gemma2', { layer_types: ['sliding_attention', 'full_attention', 'linear_attention', 'full_attention'] }, /layer_types\[2\] must be "full_attention" or "sliding_attention", got .*linear_attention/],
    ['gemma2', { layer_types: ['full_attention'] }, /layer_types must be a list of 4 types, one for each layer, got \["full_attention"\]/],
    ['gemma2', { attn_logit_softcapping: '50' }, /attn_logit_softcapping must be a finite number above 0, or null, got .*50/],
    ['gemma2', { attn_logit_softcapping: 0 }, /attn_logit_softcapping must be a finite number above 0, or null, got/],
    ['gemma2', { final_logit_softcapping: [30] }, /final_logit_softcapping must be a finite number above 0, or null, got/],
    ['gemma2', { query_pre_attn_scalar: -1 }, /query_pre_attn_scalar must be a finite number above 0, got -1/],
    ['gemma2', { use_bidirectional_attention: true }, /use_bidirectional_attention must be false/],
    ['gemma2', { sliding_window: 'wide' }, /sliding_window must be .* got "wide"/],
    ['gemma2', { rope_scaling: { rope_type: 'spiral' } }, /rope_type "spiral" is not supported/],
    ['gemma3_text', { attn_logit_softcapping: 50 }, /attn_logit_softcapping must be null: Gemma 3 does not bound its scores, got 50/],
    ['gemma3_text', { sliding_window_pattern: 0 }, /sliding_window_pattern must be a number from 1/],
    ['gemma3_text', { rope_local_base_freq: '1e4' }, /rope_local_base_freq must be .* got "1e4"/],
    ['gemma3_text_v5', { rope_parameters: { full_attention: { rope_type: 'odd' } } }, /rope_parameters\.rope_type "odd" is not supported/],
    ['phi3', { rope_scaling: { type: 'linear', factor: 2 } }, /rope_scaling\.rope_type must be "default" or "longrope" in a phi3 model, got .*linear/],
    ['phi3', { rope_scaling: { ...longrope } }, /rope_scaling\.short_factor must be a list of 8, each a finite number above 0, got \[1, 1\]/],
    ['phi3', { rope_scaling: { ...longrope, short_factor: [1, 1, 1, 1, 1, 1, 1, 0] } }, /rope_scaling\.short_factor must be a list of 8/],
    ['phi3', { rope_scaling: { ...longrope, short_factor: new Array(8).fill(1) } }, /rope_scaling\.long_factor must be a list of 8/],
    ['phi3', { partial_rotary_factor: 1.5 }, /partial_rotary_factor must be a number above 0 and up to 1, got 1.5/],
    ['smollm3', { no_rope_layers: [1, 1, 1] }, /no_rope_layers must be a list of at least 4 numbers/],
    ['smollm3', { no_rope_layers: [1, 1, 1, 2] }, /no_rope_layers\[3\] must be 1 \(rotates\) or 0, got/],
    ['smollm3', { use_sliding_window: 'yes' }, /use_sliding_window must be true or false, got "yes"/],
    ['olmo2', { hidden_act: 'mish' }, /hidden_act "mish" is not supported/],
    ['granite', { residual_multiplier: 'much' }, /residual_multiplier must be a finite number above 0, got "much"/],
    ['granite', { attention_multiplier: 0 }, /attention_multiplier must be a finite number above 0, got 0/],
    ['gpt2', { activation_function: 'gelu_odd' }, /activation_function "gelu_odd" is not supported/],
    ['gpt2', { scale_attn_by_inverse_layer_idx: 1 }, /scale_attn_by_inverse_layer_idx must be true or false, got 1/],
    ['gpt2', { scale_attn_weights: 'no' }, /scale_attn_weights must be true or false, got "no"/],
    ['gpt2', { add_cross_attention: true }, /add_cross_attention must be false/],
    ['llama_untied', { num_hidden_layers: 1.5 }, /num_hidden_layers must be a whole number, got 1.5/],
    ['llama_untied', { hidden_size: NaN }, /config\.json: hidden_size must be a number from 1 to \d+, got NaN/],
    ['llama_untied', { quantization_config: {} }, /quant_method undefined is not supported/],
    ['llama_untied', { model_type: 'q'.repeat(1e6) }, /^.{0,600}$/],
    ['gpt2', { n_embd: null }, /n_embd must be a number from 1 to \d+, got nothing/],
    ['gpt_neox', { use_parallel_residual: 'both' }, /use_parallel_residual must be true or false, got "both"/],
    ['gpt_neox', { rotary_pct: 0 }, /rotary_pct must be a number above 0 and up to 1, got 0/],
  ])('%s refuses %j', async (name, changes, message) => {
    const error = await resolved(name, changes).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toMatch(message);
  });
});

describe('what a config leaves out is what transformers assumes', () => {
  // By the classes of transformers 5.24: CONFIG_MAPPING[model_type]().
  // prettier-ignore
  it.each<[name: string, epsilon: number, positions: number | undefined, tied: boolean, activation: string, theta: number | undefined]>([
    ['llama_untied', 1e-6, 2048, false, 'silu', 10000],
    ['mistral_sliding', 1e-6, 131072, false, 'silu', 10000],
    ['qwen2', 1e-6, 32768, false, 'silu', 10000],
    ['qwen3', 1e-6, 32768, false, 'silu', 10000],
    ['granite', 1e-6, 2048, false, 'silu', 10000],
    ['olmo2', 1e-5, 2048, false, 'silu', 10000],
    ['phi3', 1e-5, 4096, false, 'silu', 10000],
    ['smollm3', 1e-6, 32768, true, 'silu', 2e6],
    ['gemma2', 1e-6, 8192, true, 'gelu_tanh', 10000],
    ['gemma3_text', 1e-6, 131072, true, 'gelu_tanh', 1e4],
    ['gpt2', 1e-5, undefined, true, 'gelu_tanh', undefined],
    ['gpt_neox', 1e-5, 2048, false, 'gelu', 10000],
    ['mixtral', 1e-5, 131072, false, 'silu', 1e6],
    ['qwen3_moe', 1e-6, 32768, false, 'silu', 10000],
    ['gpt_oss', 1e-5, 131072, false, 'silu', 150000],
    ['deepseek_v2', 1e-6, 2048, false, 'silu', 10000],
    ['deepseek_v3', 1e-6, 4096, false, 'silu', 10000],
  ])('%s: epsilon %d, %d positions, tied %s, %s, theta %d', async (name, epsilon, positions, tied, activation, theta) => {
    const fields = ['rms_norm_eps', 'layer_norm_eps', 'layer_norm_epsilon', 'max_position_embeddings', 'hidden_act', 'hidden_activation', 'activation_function', 'rope_theta', 'rope_parameters', 'rotary_emb_base', 'rope_local_base_freq'];
    const config = await resolved(name, Object.fromEntries(fields.map((field) => [field, undefined])));
    expect(config).toMatchObject({ normEpsilon: epsilon, activation });
    if (positions !== undefined) expect(config.maxPositions).toBe(positions);
    expect(config.ropes[0]?.theta).toBe(theta);
    const untold = await resolved(name, { tie_word_embeddings: undefined }).catch((error: unknown) => error);
    // A file without a head fits a tied model only.
    if (untold instanceof Error) expect([tied, untold.message]).toEqual([false, expect.stringMatching(/^lm_head\.weight: expected/)]);
    else expect(untold).toMatchObject({ tieEmbeddings: tied });
  });

  it('Gemma 2: every second layer slides, caps and scale of the class', async () => {
    const absent = { attn_logit_softcapping: undefined, sliding_window: undefined, query_pre_attn_scalar: undefined };
    const config = await resolved('gemma2', absent);
    expect(config.windows).toEqual([4096, Infinity, 4096, Infinity]);
    expect([config.attentionSoftCap, config.attentionScale]).toEqual([50, 1 / 16]);
    const off = await resolved('gemma2', { attn_logit_softcapping: null, sliding_window: null });
    expect([off.attentionSoftCap, ...off.windows]).toEqual([undefined, ...new Array<number>(4).fill(Infinity)]);
  });

  it('Gemma 3: five windows to one full layer, two bases, scaling for full layers only; layer_types wins', async () => {
    const absent = { sliding_window_pattern: undefined, rope_theta: undefined, rope_local_base_freq: undefined };
    const config = await resolved('gemma3_text', absent);
    expect(config.windows).toEqual([8, 8, 8, 8]);
    const types = ['full_attention', 'sliding_attention', 'sliding_attention', 'full_attention'];
    const rope_scaling = { rope_type: 'linear', factor: 8 };
    const mixed = await resolved('gemma3_text', {
      ...absent,
      sliding_window_pattern: 2,
      layer_types: types,
      rope_scaling,
    });
    expect(mixed.windows).toEqual([Infinity, 8, 8, Infinity]);
    expect(mixed.ropes.map((rope) => [rope?.theta, rope?.scaling.type])).toEqual([
      [1e6, 'linear'],
      [1e4, 'default'],
      [1e4, 'default'],
      [1e6, 'linear'],
    ]);
  });

  it('SmolLM3: every fourth layer does not turn, and only these slide', async () => {
    const absent = { no_rope_layers: undefined, rope_theta: undefined, layer_types: undefined };
    const config = await resolved('smollm3', { ...absent, use_sliding_window: true, sliding_window: 8 });
    expect(config.ropes.map((rope) => rope?.theta)).toEqual([2e6, 2e6, 2e6, undefined]);
    expect(config.windows).toEqual([Infinity, Infinity, Infinity, 8]);
    expect((await resolved('smollm3', { sliding_window: 8 })).windows).toEqual(new Array(4).fill(Infinity));
    expect(
      (await resolved('smollm3', { no_rope_layers: null, no_rope_layer_interval: 2 })).ropes.map(
        (rope) => rope !== undefined,
      ),
    ).toEqual([true, false, true, false]);
  });

  it('Phi-3: older names of longrope, and 4096 as the original context', async () => {
    const factors = new Array<number>(8).fill(1);
    for (const type of ['longrope', 'su', 'yarn']) {
      const rope_scaling = { type, short_factor: factors, long_factor: factors };
      const { ropes } = await resolved('phi3', {
        original_max_position_embeddings: undefined,
        max_position_embeddings: 131072,
        rope_scaling,
      });
      const { scaling } = ropes[0]!;
      expect(scaling).toMatchObject({ type: 'longrope', originalMaxPositions: 4096 });
      expect('attentionFactor' in scaling && scaling.attentionFactor).toBeCloseTo(1.190238071, 8);
    }
  });

  it('GPT-NeoX: a quarter of each head turns, both rope styles', async () => {
    expect((await resolved('gpt_neox', { rotary_pct: undefined })).ropes[0]?.rotaryDim).toBe(4);
    const rope_parameters = { rope_type: 'default', rope_theta: 5000, partial_rotary_factor: 0.5 };
    const newer = await resolved('gpt_neox', { rotary_pct: undefined, rotary_emb_base: undefined, rope_parameters });
    expect(newer.ropes[0]).toMatchObject({ rotaryDim: 8, theta: 5000 });
  });

  it('Granite: factors of 1', async () => {
    expect((await resolved('granite', {})).attentionScale).toBe(0.2);
    expect((await resolved('granite', { attention_multiplier: undefined })).attentionScale).toBe(1);
  });

  it('Qwen3-MoE: the number of experts by either of its names', async () => {
    const config = await resolved('qwen3_moe', { num_experts: undefined, num_local_experts: 8 });
    expect(config.experts?.count).toBe(8);
    await expect(resolved('qwen3_moe', { num_experts: undefined, num_local_experts: 4 })).rejects.toThrow(
      /mlp\.gate\.weight: expected \[4, /,
    );
  });

  it('GPT-2: an MLP four times as wide', async () => {
    expect((await resolved('gpt2', {})).mlpDim).toBe(256);
    await expect(resolved('gpt2', { n_inner: 128 })).rejects.toThrow(/c_fc\.weight: expected \[64, 128\]/);
  });
});

/** The same files with other tensor names, and more tensors than the text model has. */
function renamed(files: ModelFiles, name: (own: string) => string, config: Changes): ModelFiles {
  const own = new Map([...files.checkpoint.tensors.keys()].map((key) => [name(key), key]));
  const extra = [...own.keys()].map((key) =>
    key.startsWith('model.') ? 'model.vision_tower.layer.weight' : 'vision_tower.layer.weight',
  );
  const entry = [...files.checkpoint.tensors.values()][0];
  const checkpoint: Checkpoint = {
    tensors: new Map([
      ...[...own].map(([key, from]) => [key, files.checkpoint.tensors.get(from)!] as const),
      ...extra.map((key) => [key, entry] as const),
    ]),
    naturalDType: (key) => files.checkpoint.naturalDType(own.get(key)!),
    read: (key, dtype, target) => files.checkpoint.read(own.get(key)!, dtype, target),
    close: () => files.checkpoint.close(),
  };
  return { ...files, checkpoint, config };
}

/** Where a trunk lies in files of other exports, and of models that it is a part of. */
const PLACES: readonly (readonly [string, (name: string) => string])[] = [
  ['saved without its head', (name) => name.replace(/^(model|transformer|gpt_neox)\./, '')],
  ['language_model.model', (name) => `language_model.${name}`],
  ['model.language_model', (name) => name.replace(/^(model|transformer|gpt_neox)\./, 'model.language_model.')],
  ['model.text_model', (name) => name.replace(/^(model|transformer|gpt_neox)\./, 'model.text_model.')],
];

describe('a trunk is found where the checkpoint has it', () => {
  it.each(
    ['llama_gqa_tied', 'llama_untied', 'qwen3', 'gemma2', 'gpt2_prefixed', 'gpt_neox'].flatMap((model) =>
      PLACES.map(([place, name]) => [model, place, name] as const),
    ),
  )('%s: %s', async (model, _, name) => {
    const backend = new ReferenceBackend();
    const files = await openFolder(modelFolder(model));
    const loaded = await loadNetwork(renamed(files, name, files.config), backend, { weights: 'f32' });
    const expected = await readExpected(model);
    const runner = Runner.of(backend, loaded);
    expectAsTransformers(runner, expected);
    expect(loaded.notes).toEqual([
      expect.stringMatching(/^[12] tensors? outside of the language model not used: .*vision_tower \(1\)/),
    ]);
    runner.dispose();
    await files.checkpoint.close();
  });
});

describe('the text half of a model that also sees', () => {
  const nested = (text_config: unknown) => ({ vision_config: {}, text_config });
  it.each<[string, string, (config: Changes) => Changes]>([
    ['gemma3', 'gemma3_text', (config) => ({ model_type: 'gemma3', ...nested(config) })],
    ['mistral3', 'mistral_sliding', (config) => ({ model_type: 'mistral3', ...nested(config) })],
    [
      'llava, whose half has no type',
      'llama_untied',
      (config) => ({ model_type: 'llava', ...nested({ ...config, model_type: undefined }) }),
    ],
    ['a model that nobody knows', 'smollm3', (config) => ({ model_type: 'smolvlm9', ...nested(config) })],
    [
      'Qwen2.5-VL',
      'qwen2',
      (config) => ({
        model_type: 'qwen2_5_vl',
        ...nested({
          ...config,
          model_type: 'qwen2_5_vl_text',
          rope_scaling: { type: 'mrope', mrope_section: [2, 3, 3] },
        }),
      }),
    ],
    [
      'Qwen2-VL as it was published, all fields at the top',
      'qwen2',
      (config) => ({
        ...config,
        model_type: 'qwen2_vl',
        vision_config: {},
        rope_scaling: { type: 'mrope', mrope_section: [2, 3, 3] },
      }),
    ],
    [
      'Qwen3-VL',
      'qwen3',
      (config) => ({ model_type: 'qwen3_vl', ...nested({ ...config, model_type: 'qwen3_vl_text' }) }),
    ],
  ])('%s: gives the logits of %s', async (_, model, change) => {
    const backend = new ReferenceBackend();
    const files = await openFolder(modelFolder(model));
    const loaded = await loadNetwork(
      renamed(files, (name) => `language_model.${name}`, change(files.config)),
      backend,
      { weights: 'f32' },
    );
    const expected = await readExpected(model);
    const runner = Runner.of(backend, loaded);
    expectAsTransformers(runner, expected);
    runner.dispose();
    await files.checkpoint.close();
  });

  it('takes the sizes of the class where text_config has none', async () => {
    const files = await openFolder(modelFolder('gemma3_text'));
    const config = { model_type: 'gemma3', text_config: { hidden_size: 64 } };
    expect(() => planNetwork(renamed(files, (name) => `language_model.${name}`, config))).toThrow(
      /embed_tokens\.weight: expected \[262208, 64\]/,
    );
    expect(() => planNetwork({ ...files, config: { model_type: 'gemma3' } })).toThrow(
      /text_config must be an object, got nothing/,
    );
    await files.checkpoint.close();
  });
});

interface ChangedField {
  readonly model: string;
  readonly changes: Record<string, unknown>;
  readonly logits: readonly number[];
}

describe('fields that a family of transformers applies, and those that it does not look at', () => {
  const { cases } = JSON.parse(readFileSync('test/fixtures/config-fields.json', 'utf8')) as { cases: ChangedField[] };
  it.each(cases)('$model with $changes', async ({ model, changes, logits }) => {
    const backend = new ReferenceBackend();
    const files = await openFolder(modelFolder(model));
    const config = { ...files.config, ...changes };
    const runner = Runner.of(backend, await loadNetwork({ ...files, config }, backend, { weights: 'f32' }));
    const all = runner.fresh([...(await readExpected(model))('input_ids').data]);
    const last = all.slice(-runner.network.config.vocabSize).slice(0, logits.length);
    expectNear(last, Float32Array.from(logits), LOGITS, 'logits of the last row');
    runner.dispose();
    await files.checkpoint.close();
  });

  it('partial_rotary_factor beside scaled frequencies, where transformers fails', async () => {
    const changes = { partial_rotary_factor: 0.5, rope_scaling: { rope_type: 'linear', factor: 2 } };
    await expect(resolved('llama_untied', changes)).rejects.toThrow(
      /partial_rotary_factor 0.5 with rope type "linear"/,
    );
  });
});
