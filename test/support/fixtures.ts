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
    const pass = drive({ network: this.network, backend: this.backend, sequences, logits });
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

  /** All logits `[T, V]` of tokens that continue a cache, in steps of `chunk` tokens. */
  run(tokens: readonly number[], cache: KvCache, chunk = tokens.length): Float32Array {
    const parts: Float32Array[] = [];
    for (let i = 0; i < tokens.length; i += chunk)
      parts.push(this.step([{ tokens: Int32Array.from(tokens.slice(i, i + chunk)), cache }], 'all'));
    return Float32Array.from(parts.flatMap((part) => [...part]));
  }

  /** All logits of a text of its own. */
  fresh(tokens: readonly number[], chunk = tokens.length): Float32Array {
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

/** Holds two arrays together within `tolerance`, largest difference. */
export function expectNear(actual: Float32Array, expected: Float32Array, tolerance: number, what: string): void {
  expect(actual.length, what).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < actual.length; i++) {
    const difference = actual[i] === expected[i] ? 0 : Math.abs(actual[i] - expected[i]);
    if (!(difference <= worst)) worst = difference; // NaN too
  }
  expect(worst, what).toBeLessThan(tolerance);
}
