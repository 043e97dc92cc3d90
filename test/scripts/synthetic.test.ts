import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bytesOf, deepseekV2Lite, deepseekV3, filesOf, gptOss20b, MODELS } from '../../scripts/synthetic/models.mjs';
import { type Parts, writeModel } from '../../scripts/synthetic/write-model.mjs';
import { planNetwork } from '../../src/engine/load/plan-network.ts';
import { load } from '../../src/engine/load/load.ts';
import { PRE_TOKENIZERS } from '../../src/loader/gguf/pre-tokenizers.ts';
import { writeSafetensors } from '../../src/loader/safetensors/write-safetensors.ts';
import { createRandom } from '../../src/sampling/random.ts';
import { floatFormat } from '../../src/tensor/formats/float-formats.ts';

const parts: Parts = {
  writeSafetensors,
  createRandom,
  preTokenizers: PRE_TOKENIZERS,
  formats: { BF16: floatFormat('bf16'), F32: floatFormat('f32'), F8_E4M3: floatFormat('f8_e4m3') },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vitrine-synthetic-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

// gpt-oss-20b: metadata.total_size of the published index. The others: two bytes for each published parameter.
test.each([
  ['gpt-oss-20b', 13_761_264_768],
  ['Qwen3-0.6B', 2 * (596_049_920 + 151_936 * 1024)],
  ['Llama-3.2-1B', 2 * 1_235_814_400],
])('%s has as many bytes as the published model', (name, total) => {
  expect(MODELS[name].model().tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0)).toBe(total);
});

test('gpt-oss-20b is divided into files as the published model is', () => {
  const files = filesOf(MODELS['gpt-oss-20b'].model());
  expect([...files].map(([file, tensors]) => [file, tensors[0].name])).toEqual([
    ['model-00000-of-00002.safetensors', 'model.layers.0.input_layernorm.weight'],
    ['model-00001-of-00002.safetensors', 'model.layers.18.self_attn.q_proj.weight'],
    ['model-00002-of-00002.safetensors', 'model.layers.6.mlp.experts.gate_up_proj_blocks'],
  ]);
});

test.each(Object.keys(MODELS))('the engine plans a network for %s that uses every tensor', (name) => {
  const { config, generationConfig, tensors } = MODELS[name].model();
  const stored = new Map(
    tensors.map((tensor) => [
      tensor.name,
      { format: tensor.dtype, shape: tensor.shape, bytes: bytesOf(tensor), file: name },
    ]),
  );
  const checkpoint = {
    tensors: stored,
    naturalDType: () => 'bf16' as const,
    read: () => Promise.reject(new Error('a plan must not read weights')),
    close: () => Promise.resolve(),
  };
  const { weightBytes } = planNetwork({ source: name, config, generationConfig, tokenizer: undefined, checkpoint });
  expect(weightBytes).toBeGreaterThan(1e9);
});

/** Numbers that are drawn before they repeat: fewer than for a large model, and a prime as well. */
const period = 65_537;
const small = { hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2, vocab_size: 3000 };

const gptOssSizes = { ...small, intermediate_size: 96, num_hidden_layers: 3, num_local_experts: 8, head_dim: 32 };

test.each([
  ['gpt_oss', gptOss20b(gptOssSizes)],
  [
    'deepseek_v2',
    deepseekV2Lite({
      ...small,
      ...{ num_key_value_heads: 4, intermediate_size: 200, moe_intermediate_size: 40, n_routed_experts: 8 },
      ...{ num_hidden_layers: 2, kv_lora_rank: 32, qk_nope_head_dim: 16, qk_rope_head_dim: 8, v_head_dim: 16 },
    }),
  ],
  [
    'deepseek_v3',
    deepseekV3({
      ...small,
      ...{ num_key_value_heads: 4, intermediate_size: 200, moe_intermediate_size: 130, n_routed_experts: 16 },
      ...{ q_lora_rank: 40, kv_lora_rank: 36, qk_nope_head_dim: 16, qk_rope_head_dim: 8, v_head_dim: 16 },
    }),
  ],
])(
  'a small %s is the same for the same seed, can be loaded and gives finite logits',
  async (name, { tokenizer, ...model }) => {
    const special = Object.fromEntries(Object.keys(tokenizer.special).map((token, id) => [token, id]));
    const out = join(folder, name);
    const own = { ...model, tokenizer: { ...tokenizer, special } };
    await writeModel(own, out, { seed: 1, parts, period });
    expect((await readdir(folder)).filter((entry) => entry.startsWith(name))).toEqual([name]);
    await writeModel(own, `${out}-again`, { seed: 1, parts, period });
    await writeModel(own, `${out}-other`, { seed: 2, parts, period });
    const [shard] = filesOf(own).keys();
    const [first, again, other] = ['', '-again', '-other'].map((end) => readFileSync(join(out + end, shard)));
    expect(first.equals(again)).toBe(true);
    expect(first.equals(other)).toBe(false);
    await expect(writeModel(own, out, { parts, period })).rejects.toThrow(/exists/);

    using loaded = await load(out, { backend: 'reference' });
    const text = 'Vögel singen: 1,234 mal. ' + '\u{1F426}';
    expect(loaded.tokenizer.decode(loaded.tokenizer.encode(text, { addSpecialTokens: false }))).toBe(text);
    const { tokens } = loaded.renderChat([{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true });
    const logits = loaded.forward(tokens).data();
    const deviation = Math.sqrt(logits.reduce((sum, x) => sum + x * x, 0) / logits.length);
    expect(deviation).toBeGreaterThan(0.01);
    expect(deviation).toBeLessThan(10);
  },
);

test('an aborted run leaves nothing behind', async () => {
  const stop = new AbortController();
  const out = join(folder, 'aborted');
  const writing = writeModel(gptOss20b({ ...gptOssSizes, num_hidden_layers: 1 }), out, {
    parts,
    period,
    signal: stop.signal,
    onProgress: () => {
      stop.abort(new Error('enough'));
    },
  });
  await expect(writing).rejects.toThrow('enough');
  expect((await readdir(folder)).filter((entry) => entry.startsWith('aborted'))).toEqual([]);
});

test('config.json has the values of the published model', async () => {
  const published = {
    num_hidden_layers: 24,
    num_local_experts: 32,
    hidden_size: 2880,
    head_dim: 64,
    sliding_window: 128,
  };
  expect(MODELS['gpt-oss-20b'].model().config).toMatchObject(published);
  expect(JSON.parse(await readFile(join(folder, 'gpt_oss', 'config.json'), 'utf8'))).toMatchObject({
    model_type: 'gpt_oss',
    quantization_config: { quant_method: 'mxfp4' },
  });
});
