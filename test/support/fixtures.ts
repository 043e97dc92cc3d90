import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import { layers as drive } from '../../src/engine/passes.ts';
import { type LoadedNetwork, loadNetwork } from '../../src/engine/load/load-network.ts';
import type { WeightOptions } from '../../src/engine/load/load-options.ts';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import { openSafetensors } from '../../src/loader/safetensors/open-safetensors.ts';
import { KvCache } from '../../src/model/cache/kv-cache.ts';
import type { Decoder } from '../../src/model/parts/decoder.ts';
import type { NewTokens } from '../../src/model/parts/step.ts';
import type { Backend } from '../../src/tensor/backend.ts';
import { observe } from '../../src/tensor/tap.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures');

/** Small models with random weights, and what transformers computes with them: see `test/fixtures/models`. */
export const MODELS = [
  'llama_gqa_tied',
  'llama_untied',
  'llama_bias',
  'llama_rope_llama3',
  'llama_rope_linear',
  'llama_rope_dynamic',
  'llama_rope_yarn',
  'mistral_sliding',
  'qwen2',
  'qwen3',
  'gemma2',
  'gemma3_text',
  'gemma3_text_v5',
  'phi3',
  'phi3_longrope_short',
  'phi3_longrope_long',
  'smollm3',
  'granite',
  'olmo2',
  'gpt2',
  'gpt2_prefixed',
  'gpt_neox',
  'gpt_neox_sequential',
] as const;

/** The same, of mixtures of experts and latent attention. */
export const MIXTURES = [
  'mixtral',
  'qwen3_moe',
  'gpt_oss',
  'gpt_oss_mxfp4',
  'deepseek_v2',
  'deepseek_v2_group',
  'deepseek_v3',
  'deepseek_v3_noqlora',
  'deepseek_v3_fp8',
  'deepseek_v3_fp8_aligned',
] as const;

/** Both lists, with the forms in which latent attention computes (other models have one). */
export const MODEL_FORMS = [...MODELS, ...MIXTURES].flatMap((name) =>
  name.startsWith('deepseek')
    ? ([
        [name, 'absorbed'],
        [name, 'naive'],
      ] as const)
    : ([[name, 'absorbed']] as const),
);

/** Models whose caches hold different things: all keys, a ring of them, keys that are computed anew, latents. */
export const CACHE_KINDS: readonly string[] = [
  'llama_gqa_tied',
  'llama_rope_dynamic',
  'mistral_sliding',
  'gemma2',
  'phi3_longrope_short',
  'deepseek_v3',
  'deepseek_v3_noqlora',
];

/** The folder of a fixture by its name; a path of its own stays what it is. */
export const modelFolder = (name: string): string => resolve(FIXTURES, 'models', name);

export interface Expected {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The outputs of a model, by name: `input_ids`, `logits`, `hidden_states` and so on. */
export async function readExpected(name: string): Promise<(tensor: string) => Expected> {
  const file = await openSafetensors(join(FIXTURES, 'expected', name, 'expected.safetensors'));
  const tensors = new Map<string, Expected>();
  for (const key of file.tensors.keys()) {
    const tensor = await file.read(key);
    tensors.set(key, { shape: tensor.shape, data: tensor.toFloat32() });
  }
  await file.close();
  return (key) => tensors.get(key) ?? expect.fail(`${name} has no ${key}`);
}

/** The numbers that came with the outputs, such as `nll_sum`. */
export const readMeta = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(FIXTURES, 'expected', name, 'meta.json'), 'utf8')) as Record<string, unknown>;

/** A network with its weights, and the few lines that run it without an engine. */
export class Runner {
  readonly backend: Backend;
  readonly network: Decoder;
  readonly #loaded: LoadedNetwork;

  private constructor(backend: Backend, loaded: LoadedNetwork) {
    this.backend = backend;
    this.network = loaded.network;
    this.#loaded = loaded;
  }

  static async load(name: string, backend: Backend, options: WeightOptions = { weights: 'f32' }): Promise<Runner> {
    const files = await openFolder(modelFolder(name));
    const loaded = await loadNetwork(files, backend, options);
    await files.checkpoint.close();
    return new Runner(backend, loaded);
  }

  static of(backend: Backend, loaded: LoadedNetwork): Runner {
    return new Runner(backend, loaded);
  }

  dispose(): void {
    this.#loaded.dispose();
  }

  newCache(): KvCache {
    return new KvCache(this.backend, this.network.cacheLayout);
  }

  /** One step of several sequences: `[rows, V]`. Gives up after `layers` layers, where that is given, with no result. */
  step(sequences: readonly NewTokens[], logits: 'last' | 'all', layers = Infinity): Float32Array {
    const pass = drive({ network: this.network, backend: this.backend, sequences, rows: logits });
    for (let layer = 0; ; layer++) {
      if (layer > layers) {
        pass.return(undefined as never);
        return new Float32Array();
      }
      const { done, value } = pass.next();
      if (done !== true) continue;
      const data = value.data();
      value.dispose();
      return data;
    }
  }

  /** All logits `[T, V]` of tokens that continue a cache, in steps of `chunk` tokens, or of as many as a function says at a position. */
  run(
    tokens: readonly number[],
    cache: KvCache,
    chunk: number | ((position: number) => number) = tokens.length,
  ): Float32Array {
    const logits = new Float32Array(tokens.length * this.network.config.vocabSize);
    for (let i = 0; i < tokens.length;) {
      const end = i + (typeof chunk === 'number' ? chunk : chunk(i));
      const part = this.step([{ tokens: Int32Array.from(tokens.slice(i, end)), cache }], 'all');
      logits.set(part, i * this.network.config.vocabSize);
      i = end;
    }
    return logits;
  }

  /** All logits of a text of its own. */
  fresh(tokens: readonly number[], chunk?: Parameters<Runner['run']>[2]): Float32Array {
    using cache = this.newCache();
    return this.run(tokens, cache, chunk);
  }
}

/** Token ids from 3 on; the same for the same seed. */
export function randomTokens(count: number, vocabSize: number, seed = 1): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 3 + ((state >>> 8) % (vocabSize - 3));
  });
}

/** The largest difference between the numbers of two arrays; NaN where one of them has no number. */
function largestDifference(actual: Float32Array, expected: Float32Array): number {
  let worst = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = actual[i] === expected[i] ? 0 : Math.abs(actual[i] - expected[i]);
    if (Number.isNaN(difference)) return NaN;
    worst = Math.max(worst, difference);
  }
  return worst;
}

/** Holds two arrays together within `tolerance`, largest difference. */
export function expectNear(actual: Float32Array, expected: Float32Array, tolerance: number, what: string): void {
  expect(actual.length, what).toBe(expected.length);
  expect(largestDifference(actual, expected), what).toBeLessThan(tolerance);
}

/** What a pass computes at each hook that it taps; of several steps, their rows one after the other. */
function recorded(run: () => Float32Array): { logits: Float32Array; seen: Map<string, Float32Array> } {
  const steps = new Map<string, Float32Array[]>();
  const visit = (hook: string, value: Tensor): undefined => {
    steps.set(hook, [...(steps.get(hook) ?? []), value.data()]);
  };
  const logits = observe([{ wants: () => true, visit }], run);
  const join = (parts: Float32Array[]): Float32Array =>
    parts.length === 1 ? parts[0] : Float32Array.from(parts.flatMap((part) => [...part]));
  return { logits, seen: new Map([...steps].map(([hook, parts]) => [hook, join(parts)])) };
}

/** Largest differences in f32 from transformers' f32, whose own noise is 3e-5; the smallest real mistake gives 1.5e-3. */
export const LOGITS = 3e-4;
const ATTENTIONS = 1e-4;

/**
 * Holds the pass over the text of a fixture to what transformers computed: hidden states, the patterns of the first and the last layer,
 * and the logits, which it returns. They are compared in the order of the pass, so that the first hook that differs is named.
 */
export function expectAsTransformers(
  model: Runner,
  expected: (tensor: string) => Expected,
  chunk?: number,
): Float32Array {
  const ids = [...expected('input_ids').data];
  const { logits, seen } = recorded(() => model.fresh(ids, chunk));
  const { shape, data } = expected('hidden_states');
  const [layers, T, D] = [shape[0] - 1, shape[1], shape[2]];
  const wanted = new Map<string, readonly [numbers: Float32Array, tolerance: number]>();
  for (let layer = 0; layer <= layers; layer++) {
    const last = layer === layers ? 'ln_final.hook_out' : `blocks.${layer - 1}.hook_resid_post`;
    const hook = layer === 0 ? 'blocks.0.hook_resid_pre' : last;
    wanted.set(hook, [data.subarray(layer * T * D, (layer + 1) * T * D), LOGITS]);
  }
  // The patterns of a text that goes in steps have rows of several widths.
  if (chunk === undefined)
    for (const [layer, name] of [
      [0, 'attentions_first'],
      [layers - 1, 'attentions_last'],
    ] as const)
      wanted.set(`blocks.${layer}.attn.hook_pattern`, [expected(name).data, ATTENTIONS]);
  const listed = model.network.hooks.map(({ name }) => name);
  expect(listed, 'the hooks that are compared').toEqual(expect.arrayContaining([...wanted.keys()]));
  for (const hook of listed.filter((name) => wanted.has(name))) {
    const [numbers, tolerance] = wanted.get(hook)!;
    expectNear(seen.get(hook) ?? expect.fail(`${hook} is listed, but was not tapped`), numbers, tolerance, hook);
  }
  expectNear(logits, expected('logits').data, LOGITS, 'logits, of which all hooks before are as expected');
  return logits;
}

/**
 * Holds the logits of a text that goes in steps to those of one pass over it (`whole`), from row `from` on. Where they differ, both are
 * computed again, to name the first hook, in the order of the pass, whose rows differ.
 */
export function expectSameInSteps(
  model: Runner,
  text: readonly number[],
  chunk: Parameters<Runner['run']>[2],
  { whole = model.fresh(text), from = 0 }: { whole?: Float32Array; from?: number } = {},
): void {
  const tail = (logits: Float32Array): Float32Array => logits.subarray(from * model.network.config.vocabSize);
  const worst = largestDifference(tail(model.fresh(text, chunk)), tail(whole));
  if (worst < LOGITS) return;
  const [{ seen: one }, { seen: other }] = [
    recorded(() => model.fresh(text, chunk)),
    recorded(() => model.fresh(text)),
  ];
  const differs = (hook: string): boolean => {
    const [rows, others] = [one.get(hook), other.get(hook)];
    if (rows === undefined || others?.length !== rows.length) return true;
    const width = rows.length / text.length;
    return !(largestDifference(rows.subarray(from * width), others.subarray(from * width)) < LOGITS);
  };
  // Only these have a row for each token, whatever the steps.
  const byRow = model.network.hooks.filter(({ name, axes }) => axes.startsWith('p ') && !name.includes('.experts.'));
  const first = byRow.find(({ name }) => differs(name))?.name ?? 'none before the logits';
  expect.fail(`logits in steps differ by ${worst}; the first hook that differs: ${first}`);
}
