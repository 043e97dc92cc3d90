import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { planNetwork } from '../../../src/engine/load/plan-network.ts';
import type { Checkpoint, StoredTensor } from '../../../src/loader/model-files.ts';
import { openFolder } from '../../../src/loader/folder/open-folder.ts';
import { openSafetensors, type SafetensorsTensor } from '../../../src/loader/safetensors/open-safetensors.ts';
import { writeSafetensors } from '../../../src/loader/safetensors/write-safetensors.ts';
import { ConfigError } from '../../../src/model/config/config-error.ts';
import type { Mixture } from '../../../src/model/parts/mixture.ts';
import { PackedParameter } from '../../../src/tensor/packed-parameter.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { observe } from '../../../src/tensor/tap.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { BACKENDS } from '../../support/tested-backends.ts';
import {
  CACHE_KINDS,
  expectAsTransformers,
  expectNear,
  LOGITS,
  MIXTURES,
  modelFolder,
  randomTokens,
  readExpected,
  readMeta,
  Runner,
} from '../../support/fixtures.ts';

const LATENT = MIXTURES.filter((name) => name.startsWith('deepseek'));

/** The mixture of a layer. */
const mixtureOf = (model: Runner, layer: number): Mixture =>
  (model.network.blocks[layer] as unknown as { mlp: Mixture }).mlp;

/** Runs tokens and gives what was seen at the taps of one layer. */
function seenIn(
  model: Runner,
  layer: number,
  ids: readonly number[],
  edit: (name: string, value: Tensor) => Tensor | undefined = () => undefined,
) {
  const seen = new Map<string, Float32Array>();
  const prefix = `blocks.${layer}.`;
  const visit = (at: string, value: Tensor): Tensor | undefined => {
    const used = edit(at.slice(prefix.length), value);
    seen.set(at.slice(prefix.length), (used ?? value).data());
    return used;
  };
  const logits = observe([{ wants: (at) => at.startsWith(prefix), visit }], () => model.fresh(ids));
  return { logits, seen: (name: string): Float32Array => seen.get(name) ?? expect.fail(`nothing at ${name}`) };
}

describe.each(BACKENDS)('%s', (backendName, create) => {
  const backend = create();
  /** With variables of the device, only the caches are stored otherwise. */
  const used = (names: readonly string[]): readonly string[] =>
    backendName.includes('device') ? names.filter((name) => CACHE_KINDS.includes(name)) : names;
  const loaded = new Map<string, Runner>();
  const load = async (name: string, options?: Parameters<typeof Runner.load>[2]): Promise<Runner> => {
    const key = name + JSON.stringify(options);
    const model = loaded.get(key) ?? (await Runner.load(name, backend, options));
    loaded.set(key, model);
    return model;
  };
  let hasFailed = false;
  afterEach(({ task }) => {
    hasFailed ||= task.result?.state === 'fail';
  });
  afterAll(() => {
    for (const model of loaded.values()) model.dispose();
    if (!hasFailed) expect(backend.liveHandles(), 'left by the models').toBe(0);
  });

  it.each(used(MIXTURES))("%s goes to transformers' experts, with its weights", async (name) => {
    const [model, expected] = [await load(name), await readExpected(name)];
    const { router_layer: layer } = readMeta(name) as { router_layer: number };
    const { seen } = seenIn(model, layer, [...expected('input_ids').data]);
    expectNear(seen('mlp.router.hook_logits'), expected('router_logits').data, LOGITS, 'router logits');
    expect([...seen('mlp.hook_expert_indices')]).toEqual([...expected('router_topk_indices').data]);
    expectNear(seen('mlp.hook_topk_weights'), expected('router_topk_weights').data, 1e-5, 'weights');
  });

  describe.each(used(['gpt_oss_mxfp4', 'deepseek_v3_fp8', 'deepseek_v3_fp8_aligned']))(
    '%s, kept in its blocks',
    (name) => {
      it('computes what transformers computes with the decoded weights', async () => {
        const [model, expected] = [await load(name, { compute: 'f32' }), await readExpected(name)];
        const V = model.network.config.vocabSize;
        const ids = [...expected('input_ids').data];
        expectAsTransformers(model, expected);
        expectAsTransformers(model, expected, 13);
        using cache = model.newCache();
        let row: Float32Array = model.run(ids, cache).slice(-V);
        for (const token of expected('generated_ids').data) {
          expect(row.indexOf(Math.max(...row))).toBe(token);
          row = model.run([token], cache);
        }
      });

      it('has its experts in memory as they are in the file', async () => {
        const model = await load(name, { compute: 'f32' });
        for (const { gateUp, down } of mixtureOf(model, 1).experts) {
          expect(gateUp.weight).toBeInstanceOf(PackedParameter);
          expect(down.weight).toBeInstanceOf(PackedParameter);
        }
        const { shape, data } = (await readExpected(name))('dequantised_example');
        scope('', () => {
          const decoded = (expert: number): Tensor =>
            (mixtureOf(model, 1).experts[expert].down.weight as PackedParameter).dense();
          // MXFP4's example is of all experts, with the axes the other way.
          const actual =
            name === 'gpt_oss_mxfp4'
              ? Float32Array.from(
                  Array.from({ length: shape[0] }, (_, e) => [...decoded(e).transpose([1, 0]).data()]).flat(),
                )
              : decoded(1).data();
          expect(actual).toEqual(data);
        });
      });

      it('in bf16 products it says much the same', async () => {
        const [model, expected] = [await load(name, {}), await readExpected(name)];
        const logits = model.fresh([...expected('input_ids').data]);
        const error = Math.sqrt(
          logits.reduce((sum, x, i) => sum + (x - expected('logits').data[i]) ** 2, 0) / logits.length,
        );
        expect(error).toBeLessThan(0.15); // of logits that spread by 2.2
      });
    },
  );

  describe.each(used(LATENT))('%s, absorbed and naive', (name) => {
    let forms: Runner[];
    beforeAll(async () => {
      forms = [await load(name), await load(name, { weights: 'f32', mla: 'naive' })];
    });

    /** Holds what both forms give together, as a part of the largest logit. */
    const expectSame = (run: (model: Runner) => Float32Array): void => {
      const [absorbed, naive] = forms.map(run);
      expectNear(absorbed, naive, 1e-5 * naive.reduce((most, x) => Math.max(most, Math.abs(x)), 0), 'logits');
    };

    it('agree on a text, in steps, and on one in a batch', () => {
      const [a, b] = [randomTokens(12, 500, 3), randomTokens(7, 500, 4)];
      expectSame((model) => model.fresh(a));
      expectSame((model) => model.fresh(a, 4));
      expectSame((model) => {
        const caches = [model.newCache(), model.newCache()];
        const step = (tokens: number[][]): Float32Array =>
          model.step(
            tokens.map((ids, i) => ({ tokens: Int32Array.from(ids), cache: caches[i] })),
            'last',
          );
        const logits = [...step([a, b]), ...step([[5], [6, 7]])];
        for (const cache of caches) cache.dispose();
        return Float32Array.from(logits);
      });
    });

    it('agree after a cache is cut back, and on its forks', () => {
      expectSame((model) => {
        using cache = model.newCache();
        model.run(randomTokens(20, 500), cache);
        cache.truncate(9);
        using fork = cache.fork();
        const other = model.run(randomTokens(7, 500, 8), fork);
        const again = model.run(randomTokens(7, 500, 9), cache);
        const wanted = model.fresh([...randomTokens(20, 500).slice(0, 9), ...randomTokens(7, 500, 9)]);
        expectNear(again, wanted.slice(-again.length), LOGITS, 'after truncate');
        return Float32Array.from([...other, ...again]);
      });
    });

    it('cache a latent, or keys and values of every head', () => {
      const { rank, ropeDim, nopeDim, valueDim } = forms[0].network.config.latent!;
      const { nHeads, nLayers } = forms[0].network.config;
      const perToken = [rank + ropeDim, nHeads * (nopeDim + ropeDim + valueDim)];
      forms.forEach((model, form) => {
        using cache = model.newCache();
        model.run([5, 6, 7], cache);
        expect(cache.bytes / 64).toBe(4 * nLayers * perToken[form]); // 64 slots
      });
    });

    it('an edit of cached latents stays in the cache', () => {
      const [model] = forms;
      const { rank: r, ropeDim } = model.network.config.latent!;
      using cache = model.newCache();
      model.run(randomTokens(9, 500), cache);
      const doubled = new Map<string, Float32Array>();
      const names = ['blocks.1.kv.hook_latent', 'blocks.1.kv.hook_rope'];
      observe(
        [
          {
            wants: (at) => names.includes(at),
            visit: (at, value) => {
              const twice = value.mul(2);
              doubled.set(at, twice.data());
              return twice;
            },
          },
        ],
        () => model.run([4, 5], cache),
      );
      observe(
        [
          {
            wants: (at) => names.includes(at),
            visit: (at, value) => {
              const width = at === names[0] ? r : ropeDim;
              expect(value.shape).toEqual([12, width]);
              expect(value.data().slice(0, 11 * width)).toEqual(doubled.get(at));
              return undefined;
            },
          },
        ],
        () => model.run([6], cache),
      );
      expect(doubled.size).toBe(2);
    });
  });

  it.each(used(MIXTURES))('%s: an edit of the chosen experts forces the choice', async (name) => {
    const model = await load(name);
    const { router_layer: layer } = readMeta(name) as { router_layer: number };
    const { count, perToken: k } = model.network.config.experts!;
    const ids = randomTokens(6, 500);
    const forced = Float32Array.from({ length: ids.length * k }, (_, i) => (count - 1 + (i % k)) % count);
    const edit = (at: string, value: Tensor): Tensor | undefined =>
      at === 'mlp.hook_expert_indices' ? Tensor.from(backend, forced, value.shape) : undefined;
    const plain = seenIn(model, layer, ids);
    const { seen, logits } = seenIn(model, layer, ids, edit);
    expect(logits).not.toEqual(plain.logits);
    for (let expert = 0; expert < count; expert++) {
      const goes = forced.subarray(0, k).includes(expert);
      expect([...seen(`mlp.experts.${expert}.hook_token_index`)]).toEqual(goes ? [0, 1, 2, 3, 4, 5] : []);
    }
    // The weights are those of the forced ones, by the family's own rule.
    const { scores: kind, normalise, scale = 1 } = mixtureOf(model, layer).router.choice;
    const scores = kind === 'logits' ? seen('mlp.router.hook_logits').map(Math.exp) : seen('mlp.router.hook_scores');
    const weights = seen('mlp.hook_topk_weights');
    for (let row = 0; row < ids.length; row++) {
      const chosen = Array.from({ length: k }, (_, j) => scores[row * count + forced[row * k + j]]);
      const total = normalise ? chosen.reduce((a, b) => a + b, 0) : 1;
      chosen.forEach((score, j) => {
        expect(weights[row * k + j]).toBeCloseTo((scale * score) / total, 5);
      });
    }
    const wrong = (at: string, value: Tensor): Tensor | undefined =>
      at === 'mlp.hook_expert_indices' ? value.cast('f32').add(count) : undefined;
    expect(() => seenIn(model, layer, ids, wrong)).toThrow(/expert ids \[6, \d\]: expected whole numbers from 0 to \d/);
  });

  it('qwen3_moe with stacked experts is the same model', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vitrine-stacked-'));
    try {
      await writeStacked(folder);
      const ids = randomTokens(9, 500);
      expect((await load(folder)).fresh(ids)).toEqual((await load('qwen3_moe')).fresh(ids));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** Writes qwen3_moe with the experts of a layer in two tensors, as transformers 5 has them in memory. */
async function writeStacked(folder: string): Promise<void> {
  const file = await openSafetensors(join(modelFolder('qwen3_moe'), 'model.safetensors'));
  const tensors = new Map<string, SafetensorsTensor>();
  for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
  await file.close();
  for (const path of [0, 2].map((layer) => `model.layers.${layer}.mlp.experts`)) {
    const stack = (name: string, shape: number[], members: string[]): void => {
      const parts = Array.from({ length: 8 }, (_, expert) =>
        members.map((member) => `${path}.${expert}.${member}.weight`),
      ).flat();
      const data = Uint16Array.from(parts.flatMap((part) => [...(tensors.get(part)!.data as Uint16Array)]));
      for (const part of parts) tensors.delete(part);
      tensors.set(`${path}.${name}`, { dtype: 'BF16', shape, data, toFloat32: () => new Float32Array() });
    };
    stack('gate_up_proj', [8, 64, 64], ['gate_proj', 'up_proj']);
    stack('down_proj', [8, 64, 32], ['down_proj']);
  }
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  copyFileSync(join(modelFolder('qwen3_moe'), 'config.json'), join(folder, 'config.json'));
}

/** Plans a fixture whose config.json or tensors are changed. */
async function plan(
  name: string,
  config: object,
  change: (tensors: Map<string, StoredTensor>) => void = () => undefined,
): Promise<unknown> {
  const files = await openFolder(modelFolder(name));
  await files.checkpoint.close();
  const tensors = new Map(files.checkpoint.tensors);
  change(tensors);
  const checkpoint: Checkpoint = {
    tensors,
    naturalDType: (tensor) => files.checkpoint.naturalDType(tensor),
    read: () => Promise.reject(new Error('nothing is read here')),
    close: () => Promise.resolve(),
  };
  try {
    return planNetwork({ ...files, source: 'a model', checkpoint, config: { ...files.config, ...config } });
  } catch (error) {
    return error;
  }
}

describe('config.json', () => {
  const fp8 = { quant_method: 'fp8', fmt: 'e4m3', weight_block_size: [128, 128] };
  // prettier-ignore
  it.each<[string, object, string]>([
    ['deepseek_v3', { scoring_func: 'softmax' }, 'scoring_func "softmax" is not supported here (supported: sigmoid).'],
    ['deepseek_v3', { topk_method: 'greedy' }, 'topk_method "greedy" is not supported here (supported: noaux_tc).'],
    ['deepseek_v3', { moe_layer_freq: 2 }, 'moe_layer_freq 2 is not supported here (supported: 1).'],
    ['deepseek_v3', { norm_topk_prob: 1 }, 'norm_topk_prob must be true or false, got 1'],
    ['deepseek_v3', { n_group: 3 }, 'n_group must be a divisor of n_routed_experts 8 that leaves at least 2 in a group, got 3'],
    ['deepseek_v3', { n_group: 8, topk_group: 4 }, 'n_group must be a divisor of n_routed_experts 8 that leaves at least 2 in a group, got 8'],
    ['deepseek_v3', { topk_group: 1 }, 'topk_group must be a number up to n_group 4 that leaves num_experts_per_tok 3 experts, got 1'],
    ['deepseek_v3', { topk_group: 5 }, 'topk_group must be a number up to n_group 4 that leaves num_experts_per_tok 3 experts, got 5'],
    ['deepseek_v3', { num_experts_per_tok: 9 }, 'num_experts_per_tok must be a number from 1 to 8, got 9'],
    ['deepseek_v3', { hidden_act: 'sine' }, 'hidden_act "sine" is not supported here'],
    ['deepseek_v3', { rope_interleave: 'yes' }, 'rope_interleave must be true or false, got "yes"'],
    ['deepseek_v3', { attention_bias: 0 }, 'attention_bias must be true or false, got 0'],
    ['deepseek_v3', { rope_scaling: { type: 'linear', factor: 2 } }, 'rope type "linear" is not supported with latent attention (supported: default, yarn).'],
    ['deepseek_v3', { rope_scaling: { type: 'spiral' } }, 'rope_scaling.rope_type "spiral" is not supported'],
    ['deepseek_v3', { qk_rope_head_dim: 7 }, 'the rotary dimension must be even and at least 2, got 7'],
    ['deepseek_v3', { kv_lora_rank: -1 }, 'kv_lora_rank must be a number from 1 to 131072, got -1'],
    ['deepseek_v3', { q_lora_rank: 'none' }, 'q_lora_rank must be a number from 1 to 131072, got "none"'],
    ['deepseek_v3', { first_k_dense_replace: 0.5 }, 'first_k_dense_replace must be a whole number, got 0.5'],
    ['deepseek_v2', { topk_method: 'noaux_tc' }, 'topk_method "noaux_tc" is not supported here (supported: greedy, group_limited_greedy).'],
    ['deepseek_v2', { scoring_func: 'sigmoid' }, 'scoring_func "sigmoid" is not supported here (supported: softmax).'],
    ['deepseek_v2', { norm_topk_prob: true }, 'norm_topk_prob true is not supported here (supported: false).'],
    ['deepseek_v2', { rope_interleave: false }, 'rope_interleave false is not supported here (supported: true).'],
    ['gpt_oss', { swiglu_limit: 'none' }, 'swiglu_limit must be a finite number above 0, got "none"'],
    ['gpt_oss', { swiglu_alpha: -1 }, 'swiglu_alpha must be a finite number above 0, got -1'],
    ['gpt_oss', { layer_types: ['sliding_attention', 'chunked_attention'] }, 'layer_types[1] must be "full_attention" or "sliding_attention"'],
    ['gpt_oss', { layer_types: ['full_attention'] }, 'layer_types must be a list of 2 types, one for each layer'],
    ['gpt_oss', { num_experts_per_tok: 5 }, 'num_experts_per_tok must be a number from 1 to 4, got 5'],
    ['gpt_oss', { attention_bias: 'all' }, 'attention_bias must be true or false, got "all"'],
    ['qwen3_moe', { norm_topk_prob: 'yes' }, 'norm_topk_prob must be true or false, got "yes"'],
    ['qwen3_moe', { decoder_sparse_step: 0 }, 'decoder_sparse_step must be a number from 1 to 1024, got 0'],
    ['qwen3_moe', { mlp_only_layers: 'all' }, 'mlp_only_layers must be a list of layer numbers, got "all"'],
    ['mixtral', { num_local_experts: 2 ** 20 }, 'num_local_experts must be a number from 1 to 4096, got 1048576'],
    ['mixtral', { quantization_config: { quant_method: 'gptq' } }, 'quantization_config.quant_method "gptq" is not supported (supported: mxfp4, fp8).'],
    ['mixtral', { quantization_config: 'fp8' }, 'quantization_config must be an object or null, got "fp8"'],
    ['deepseek_v3_fp8', { quantization_config: { ...fp8, fmt: 'e5m2' } }, 'quantization_config.fmt must be "e4m3", got "e5m2"'],
    ['deepseek_v3_fp8', { quantization_config: { ...fp8, weight_block_size: [64, 128] } }, 'quantization_config.weight_block_size must be [128, 128], got [64, 128]'],
    ['deepseek_v3_fp8', { quantization_config: { ...fp8, weight_block_size: [128, 64] } }, 'quantization_config.weight_block_size must be [128, 128], got [128, 64]'],
    ['deepseek_v3_fp8', { quantization_config: { ...fp8, weight_block_size: [128, 128, 1] } }, 'quantization_config.weight_block_size must be [128, 128], got [128, 128, 1]'],
    ['deepseek_v3_fp8', { quantization_config: { ...fp8, weight_block_size: null } }, 'quantization_config.weight_block_size must be [128, 128], got null'],
    ['deepseek_v3_fp8', { quantization_config: { ...fp8, activation_scheme: 'static' } }, 'quantization_config.activation_scheme must be "dynamic", got "static"'],
    ['deepseek_v3_fp8', { quantization_config: { ...fp8, scale_fmt: 'log' } }, 'quantization_config.scale_fmt must be "ue8m0" or nothing, got "log"'],
    ['deepseek_v3_fp8', { quantization_config: { ...fp8, modules_to_not_convert: 'head' } }, 'quantization_config.modules_to_not_convert must be a list of names or null, got "head"'],
  ])('%s with %j is refused', async (name, config, message) => {
    const error = await plan(name, config);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toContain(message);
  });

  it('layers after the last one are left alone', async () => {
    const planned = (await plan('deepseek_v3', { num_hidden_layers: 1 })) as ReturnType<typeof planNetwork>;
    const read = planned.requests.flatMap(({ parts }) => parts.map(({ name }) => name));
    expect(read.filter((name) => /layers\.[12]/.test(name))).toEqual([]);
  });

  it.each<[string, string, object, string]>([
    [
      'a factor that is missing',
      'deepseek_v3_fp8',
      {},
      'model.layers.1.mlp.experts.2.up_proj.weight_scale_inv: expected [2, 2], but a model has no tensor of this name.',
    ],
    [
      'factors that nobody said there are',
      'deepseek_v3_fp8',
      { quantization_config: null },
      'a model: tensors that are not part of this architecture',
    ],
  ])('%s is named', async (_, name, config, message) => {
    const drop = (tensors: Map<string, StoredTensor>): void => {
      tensors.delete('model.layers.1.mlp.experts.2.up_proj.weight_scale_inv');
    };
    expect(((await plan(name, config, drop)) as Error).message).toContain(message);
  });
});
