import { describe, expect, it } from 'vitest';
import { loadNetwork } from '../../src/engine/load-network.ts';
import type { Checkpoint, StoredTensor } from '../../src/loader/checkpoint.ts';
import { openFolder } from '../../src/loader/folder.ts';
import { CheckpointError } from '../../src/model/weights.ts';
import { ReferenceBackend } from '../../src/tensor/reference/backend.ts';
import { expectNothingLeft } from '../support/backends.ts';
import { modelFolder } from '../support/fixtures.ts';

const backend = new ReferenceBackend();
const Q = 'model.layers.1.self_attn.q_proj.weight';
const stored = (...shape: number[]): StoredTensor => ({ format: 'F32', shape, bytes: 0, file: 'some.safetensors' });

/** Loads a model whose checkpoint lists other tensors than it has; says which were read. */
async function load(
  name: string,
  change: (tensors: Map<string, StoredTensor>) => void,
  fail?: string,
): Promise<Set<string>> {
  const files = await openFolder(modelFolder(name));
  const tensors = new Map(files.checkpoint.tensors);
  change(tensors);
  const read = new Set<string>();
  const checkpoint: Checkpoint = {
    tensors,
    naturalDType: (tensor) => files.checkpoint.naturalDType(tensor),
    read: async (tensor, dtype, target) => {
      read.add(tensor);
      if (tensor === fail) throw new Error(`${tensor} cannot be read`);
      await files.checkpoint.read(tensor, dtype, target);
    },
    close: () => files.checkpoint.close(),
  };
  try {
    (await loadNetwork({ ...files, source: 'a model', checkpoint }, backend)).dispose();
    return read;
  } finally {
    await files.checkpoint.close();
  }
}

describe('weights', () => {
  expectNothingLeft(() => backend);

  // prettier-ignore
  it.each<[string, string, (tensors: Map<string, StoredTensor>) => void, string]>([
    ['a wrong shape', 'llama_untied', (t) => t.set(Q, stored(64, 65)), `${Q}: expected [64, 64], some.safetensors has [64, 65]. Check the sizes in config.json.`],
    ['axes the other way', 'llama_untied', (t) => t.set('lm_head.weight', stored(64, 512)), 'lm_head.weight: expected [512, 64], some.safetensors has [64, 512]. Check the sizes in config.json.'],
    ['a vector of another rank', 'llama_untied', (t) => t.set('model.norm.weight', stored(1, 64)), 'model.norm.weight: expected [64], some.safetensors has [1, 64]. Check the sizes in config.json.'],
    ['a missing matrix', 'llama_untied', (t) => t.delete(Q), `${Q}: expected [64, 64], but a model has no tensor of this name. The file is incomplete, or model_type in config.json is wrong.`],
    ['a missing bias', 'qwen2', (t) => t.delete('model.layers.0.self_attn.k_proj.bias'), 'model.layers.0.self_attn.k_proj.bias: expected [32], but a model has no tensor of this name. The file is incomplete, or model_type in config.json is wrong.'],
    ['a missing head', 'llama_untied', (t) => t.delete('lm_head.weight'), 'lm_head.weight: expected [512, 64], but a model has no tensor of this name. The file is incomplete, or model_type in config.json is wrong.'],
    ['an unused tensor', 'llama_untied', (t) => t.set('model.layers.0.self_attn.q_norm.weight', stored(16)), 'a model: tensors that are not part of this architecture (1): model.layers.0.self_attn.q_norm.weight. Check model_type in config.json.'],
    ['many unused tensors', 'llama_untied', (t) => { for (let i = 0; i < 7; i++) t.set(`extra.${i}`, stored(1)); }, 'a model: tensors that are not part of this architecture (7): extra.0, extra.1, extra.2, extra.3, extra.4, …. Check model_type in config.json.'],
  ])('%s is named before anything is read', async (_, name, change, message) => {
    const error = await load(name, change).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toBe(message);
  });

  it('buffers that old exports wrote along are not read', async () => {
    const buffer = 'model.layers.0.self_attn.rotary_emb.inv_freq';
    expect(await load('llama_untied', (t) => t.set(buffer, stored(8)))).not.toContain(buffer);
  });

  it('a head of its own counts, whatever the config says of tying', async () => {
    const read = await load('llama_gqa_tied', () => undefined);
    expect(read).not.toContain('lm_head.weight');
    const files = await openFolder(modelFolder('llama_untied'));
    const loaded = await loadNetwork({ ...files, config: { ...files.config, tie_word_embeddings: true } }, backend);
    expect(loaded.network.lmHead.weight).not.toBe(loaded.network.embed);
    loaded.dispose();
    await files.checkpoint.close();
  });

  it('frees what it read when reading fails midway', async () => {
    await expect(load('llama_untied', () => undefined, Q)).rejects.toThrow(`${Q} cannot be read`);
  });
});
