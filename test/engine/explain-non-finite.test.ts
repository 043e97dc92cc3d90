import { describe, expect, it } from 'vitest';
import { type Edit, type GenerateOptions, liveTensors, Model } from '../../src/index.ts';
import { loadNetwork } from '../../src/engine/load/load-network.ts';
import type { WeightOptions } from '../../src/engine/load/load-options.ts';
import type { Checkpoint } from '../../src/loader/model-files.ts';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import type { Backend } from '../../src/tensor/backend.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { TensorflowBackend } from '../../src/tensor/tensorflow/tensorflow-backend.ts';
import { modelFolder } from '../support/fixtures.ts';

const TOKENS = Array.from({ length: 8 }, (_, i) => (i * 37 + 5) % 500);

/** A fixture of which stored tensors are changed as they are read, in f32. */
async function broken(
  name: string,
  tensor: string | readonly string[],
  change: (numbers: Float32Array) => unknown,
  options: WeightOptions = {},
  backend: Backend = new ReferenceBackend(),
): Promise<Model> {
  const files = await openFolder(modelFolder(name));
  const { checkpoint } = files;
  const changed: Checkpoint = {
    tensors: checkpoint.tensors,
    naturalDType: (asked) => checkpoint.naturalDType(asked),
    read: async (asked, dtype, target, ...rest) => {
      await checkpoint.read(asked, dtype, target, ...rest);
      if (![tensor].flat().includes(asked)) return;
      expect(dtype).toBe('f32');
      change(new Float32Array(target.buffer, target.byteOffset, target.length / 4));
    },
    close: () => checkpoint.close(),
  };
  const loaded = await loadNetwork({ ...files, checkpoint: changed }, backend, { weights: 'f32', ...options });
  await checkpoint.close();
  return new Model(files, backend, loaded, undefined);
}

async function errorOf(
  model: Model,
  prompt: readonly number[] = TOKENS,
  options: GenerateOptions = {},
): Promise<string> {
  const tokens = model.generate(prompt, {
    temperature: 0,
    repetitionPenalty: 1,
    ignoreEos: true,
    maxTokens: 4,
    ...options,
  });
  try {
    while (!(await tokens.next()).done);
  } catch (error) {
    expect((error as Error).name).toBe('NonFiniteLogitsError');
    return (error as Error).message;
  }
  return 'no error';
}

/** What first holds Infinity where these weights do, `L` and `E` for the layer and expert of the weight. */
const TRUNK = {
  'model.embed_tokens.weight': 'hook_embed',
  'model.norm.weight': 'ln_final.hook_out',
  'lm_head.weight': 'unembed.hook_out',
};
const ATTENTION = {
  'q_proj.weight': 'attn.hook_q',
  'k_proj.weight': 'attn.hook_k',
  'v_proj.weight': 'attn.hook_v',
  'o_proj.weight': 'attn.hook_out',
};
const BIASES = {
  'q_proj.bias': 'attn.hook_q',
  'k_proj.bias': 'attn.hook_k',
  'v_proj.bias': 'attn.hook_v',
  'o_proj.bias': 'attn.hook_out',
};
const QK_NORMS = { 'self_attn.q_norm.weight': 'attn.hook_q_normed', 'self_attn.k_norm.weight': 'attn.hook_k_normed' };
const PRE_NORMS = { 'input_layernorm.weight': 'attn.hook_in', 'post_attention_layernorm.weight': 'mlp.hook_in' };
const MLP = {
  'mlp.gate_proj.weight': 'mlp.hook_pre',
  'mlp.up_proj.weight': 'mlp.hook_pre_linear',
  'mlp.down_proj.weight': 'mlp.hook_out',
};
const LATENT = {
  'q_a_proj.weight': 'attn.hook_q_latent',
  'q_a_layernorm.weight': 'attn.hook_q_latent',
  'q_b_proj.weight': 'attn.hook_q_nope',
  'kv_a_proj_with_mqa.weight': 'attn.hook_kv_latent',
  'kv_a_layernorm.weight': 'attn.hook_kv_latent',
  'o_proj.weight': 'attn.hook_out',
};

const HOOKS: readonly [name: string, options: WeightOptions, layer: string, hooks: Record<string, string>][] = [
  ['llama_bias', {}, 'model.layers.1.self_attn', { ...ATTENTION, ...BIASES }],
  ['llama_bias', {}, 'model.layers.1', { ...PRE_NORMS, ...MLP, 'mlp.up_proj.bias': 'mlp.hook_pre_linear', 'mlp.down_proj.bias': 'mlp.hook_out' }], // prettier-ignore
  ['llama_bias', {}, '', TRUNK],
  ['qwen3', {}, 'model.layers.0', { ...QK_NORMS, ...PRE_NORMS }],
  ['gemma3_text', {}, 'model.layers.0', { ...QK_NORMS, ...MLP, 'input_layernorm.weight': 'attn.hook_in', 'post_attention_layernorm.weight': 'hook_attn_out', 'pre_feedforward_layernorm.weight': 'mlp.hook_in', 'post_feedforward_layernorm.weight': 'hook_mlp_out' }], // prettier-ignore
  ['olmo2', {}, 'model.layers.1', { ...QK_NORMS, 'post_attention_layernorm.weight': 'hook_attn_out', 'post_feedforward_layernorm.weight': 'hook_mlp_out' }], // prettier-ignore
  ['gpt2', {}, '', { 'wte.weight': 'hook_embed', 'wpe.weight': 'hook_pos_embed', 'ln_f.bias': 'ln_final.hook_out' }],
  ['gpt2', {}, 'h.1', { 'ln_1.weight': 'attn.hook_in', 'attn.c_attn.bias': 'attn.hook_q', 'attn.c_proj.weight': 'attn.hook_out', 'ln_2.bias': 'mlp.hook_in', 'mlp.c_fc.weight': 'mlp.hook_pre', 'mlp.c_proj.bias': 'mlp.hook_out' }], // prettier-ignore
  ['gpt_neox', {}, 'gpt_neox.layers.1', { 'input_layernorm.bias': 'attn.hook_in', 'attention.query_key_value.weight': 'attn.hook_q', 'attention.dense.bias': 'attn.hook_out', 'post_attention_layernorm.weight': 'mlp.hook_in', 'mlp.dense_h_to_4h.bias': 'mlp.hook_pre', 'mlp.dense_4h_to_h.weight': 'mlp.hook_out' }], // prettier-ignore
  ['qwen3_moe', {}, 'model.layers.0', { 'mlp.gate.weight': 'mlp.router.hook_logits', 'mlp.experts.E.gate_proj.weight': 'mlp.experts.E.hook_pre', 'mlp.experts.E.up_proj.weight': 'mlp.experts.E.hook_pre_linear', 'mlp.experts.E.down_proj.weight': 'mlp.experts.E.hook_out' }], // prettier-ignore
  ['gpt_oss', {}, 'model.layers.1', { ...PRE_NORMS, 'self_attn.sinks': 'attn.hook_sink_logit', 'mlp.router.bias': 'mlp.router.hook_logits', 'mlp.experts.down_proj_bias': 'mlp.experts.E.hook_out' }], // prettier-ignore
  ['deepseek_v3', { mla: 'absorbed' }, 'model.layers.1.self_attn', { ...LATENT, 'kv_b_proj.weight': 'attn.hook_q_absorbed' }], // prettier-ignore
  ['deepseek_v3', { mla: 'naive' }, 'model.layers.1.self_attn', { ...LATENT, 'kv_b_proj.weight': 'attn.hook_k' }],
  ['deepseek_v3', {}, 'model.layers.1.mlp', { 'shared_experts.gate_proj.weight': 'mlp.shared.hook_pre', 'shared_experts.down_proj.weight': 'mlp.shared.hook_out', 'experts.E.down_proj.weight': 'mlp.experts.E.hook_out' }], // prettier-ignore
];
const CASES = HOOKS.flatMap(([name, options, path, hooks]) =>
  Object.entries(hooks).map(([weight, hook]) => {
    const layer = /\.(?:layers|h)\.(\d+)|^h\.(\d+)/.exec(path)?.slice(1).find(Boolean);
    return [name, options, path ? `${path}.${weight}` : weight, layer ? `blocks.${layer}.${hook}` : hook] as const;
  }),
);

/** The first expert, by number, that a row of the prompt goes to. */
async function firstExpert(name: string, hook: string): Promise<string> {
  const layer = /blocks\.(\d+)/.exec(hook)![1];
  using model = await broken(name, '', () => undefined);
  using run = model.run(TOKENS, { capture: [`blocks.${layer}.mlp.hook_expert_indices`] });
  return String(Math.min(...run.acts[`blocks.${layer}.mlp.hook_expert_indices`].data()));
}

describe('Infinity', () => {
  it.each(CASES)('in a weight of %s, %o: %s is seen in %s', async (name, options, weight, hook) => {
    const before = liveTensors();
    const expert = hook.includes('.E.') ? await firstExpert(name, hook) : '';
    const [stored, shown] = [weight, hook].map((text) => text.replace('.E.', `.${expert}.`));
    const model = await broken(name, stored, (numbers) => numbers.fill(Infinity), options);
    const message = await errorOf(model);
    expect(message).toMatch(/^generate: after 8 tokens the logit of token \d+ is NaN\. The first activation/);
    expect(/not finite is (\S+) \((?:NaN|-?Infinity) at \[/.exec(message)?.[1]).toBe(shown);
    expect(message).toContain(`Weights there that are not finite: ${stored}`);
    model.dispose();
    expect(liveTensors()).toBe(before);
  });

  it('in two blocks is told of the one where it is met first', async () => {
    const weights = [0, 1].map((layer) => `model.layers.${layer}.mlp.down_proj.weight`);
    using model = await broken('llama_untied', weights, (numbers) => numbers.fill(Infinity));
    expect(await errorOf(model)).toMatch(
      /is blocks\.0\.mlp\.hook_out .*not finite: model\.layers\.0\.mlp\.down_proj\.weight\. Get the file anew\.$/,
    );
  });

  it('where finite weights overflow, is no fault of theirs', async () => {
    const large = (numbers: Float32Array): Float32Array => numbers.fill(3e38);
    using model = await broken('llama_untied', 'model.layers.1.mlp.down_proj.weight', large);
    expect(await errorOf(model)).toMatch(/is blocks\.1\.mlp\.hook_out \(.*The weights there are finite/);
  });

  it('in factors of packed weights is found', async () => {
    const weight = 'model.layers.1.self_attn.o_proj.weight';
    using model = await broken('deepseek_v3_fp8', `${weight}_scale_inv`, (numbers) => numbers.fill(Infinity), {
      weights: 'auto',
    });
    expect(await errorOf(model)).toMatch(
      /is blocks\.1\.attn\.hook_out \(.*not finite: model\.layers\.1\.self_attn\.o_proj\.weight/,
    );
  });

  it('that touches no logit goes unnoticed', async () => {
    using model = await broken('gpt_oss', 'model.layers.1.self_attn.sinks', (numbers) => numbers.fill(-Infinity));
    expect(await errorOf(model)).toBe('no error');
    using clamped = await broken('gpt_oss', 'model.layers.1.mlp.experts.gate_up_proj_bias', (numbers) =>
      numbers.fill(Infinity),
    );
    expect(await errorOf(clamped)).toBe('no error');
  });

  it.each([4, 520])('in the vector of a token is found in a prompt, after %i others', async (before) => {
    const D = 48;
    const token = 501;
    const damage = (numbers: Float32Array): Float32Array => numbers.fill(Infinity, token * D, token * D + 1);
    using model = await broken('llama_bias', 'model.embed_tokens.weight', damage, {}, new TensorflowBackend());
    const prompt = [...Array.from({ length: before }, (_, i) => (i * 37) % 500), token, 7, 8];
    const at = before % 512;
    const where = before < 512 ? `\\[${at}, 0\\]\\)` : `\\[${at}, 0\\] of the pass over tokens 512 to ${before + 2}\\)`;
    expect(await errorOf(model, prompt)).toMatch(
      new RegExp(`^generate: after ${before + 3} tokens .* hook_embed \\(Infinity at ${where}`),
    );
    // Masked rows of a pass see it too: 0 times Infinity is NaN.
    expect(() => model.score(prompt)).toThrow(
      new RegExp(`^score: after \\d+ tokens .* hook_embed \\(Infinity at \\[${at}, 0\\]`),
    );
    using logits = model.forward(prompt);
    expect(logits.data().every(Number.isNaN)).toBe(true);
  });
});

describe('an edit', () => {
  const filled =
    (x: number, isDue: (rows: number) => boolean = () => true): Edit =>
    (value) =>
      isDue(value.shape[0]) ? value.data().fill(x) : undefined;

  it.each<[string, Record<string, Edit>, string, RegExp]>([
    ['NaN in the prompt', { 'blocks.1.hook_mlp_out': filled(NaN) }, '8 tokens the logit of token 0 is NaN', /blocks\.1\.hook_mlp_out \(NaN at \[0, 0\], put there by its edit\)\. Look at that edit/], // prettier-ignore
    ['Infinity in a later token', { 'blocks.0.attn.hook_z': filled(Infinity, (rows) => rows === 1) }, '9 tokens the logit of token 0 is NaN', /blocks\.0\.attn\.hook_z \(Infinity at \[0, 0, 0\] of the pass over tokens 8 to 8, put there by its edit\)/], // prettier-ignore
    ['logits of Infinity', { hook_logits: filled(Infinity) }, '8 tokens the logit of token 0 is Infinity', /hook_logits \(Infinity at \[0, 0\], put there by its edit\)/], // prettier-ignore
    ['logits of -Infinity', { hook_logits: filled(-Infinity) }, '8 tokens every logit is -Infinity', /hook_logits \(-Infinity/], // prettier-ignore
    ['numbers that overflow later', { 'blocks.0.attn.hook_in': filled(1e30) }, '8 tokens the logit of token 0 is NaN', /blocks\.0\.attn\.hook_attn_scores \(-?Infinity at \[0, 0, 0\]\)\. The weights there are finite/], // prettier-ignore
  ])('that gives %s is named', async (_, edit, what, where) => {
    using model = await broken('llama_untied', '', () => undefined);
    const before = liveTensors();
    const message = await errorOf(model, TOKENS, { edit, capture: ['blocks.1.hook_mlp_out'] });
    expect(message).toContain(`generate: after ${what}`);
    expect(message).toMatch(where);
    expect(liveTensors()).toBe(before);
  });
});
