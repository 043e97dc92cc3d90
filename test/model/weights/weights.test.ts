import { describe, expect, it } from 'vitest';
import { loadNetwork } from '../../../src/engine/load/load-network.ts';
import { planNetwork } from '../../../src/engine/load/plan-network.ts';
import type { Checkpoint, StoredTensor } from '../../../src/loader/model-files.ts';
import { openFolder } from '../../../src/loader/folder/open-folder.ts';
import { CheckpointError } from '../../../src/model/weights/checkpoint-error.ts';
import { ReferenceBackend } from '../../../src/tensor/reference/reference-backend.ts';
import { expectNothingLeft } from '../../support/tested-backends.ts';
import { modelFolder } from '../../support/fixtures.ts';

const backend = new ReferenceBackend();
const Q = 'model.layers.1.self_attn.q_proj.weight';
const stored = (...shape: number[]): StoredTensor => ({ format: 'F32', shape, bytes: 0, file: 'some.safetensors' });

/** Loads a model whose checkpoint lists other tensors than it has; says which were read. */
async function load(
  name: string,
  change: (tensors: Map<string, StoredTensor>) => void,
  { fail, config = {} }: { fail?: string; config?: Record<string, unknown> } = {},
): Promise<Set<string> & { notes?: readonly string[] }> {
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
    const changed = { ...files, source: 'a model', checkpoint, config: { ...files.config, ...config } };
    const loaded = await loadNetwork(changed, backend);
    loaded.dispose();
    return Object.assign(read, { notes: loaded.notes });
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
    ['many unused tensors', 'llama_untied', (t) => { for (let i = 0; i < 7; i++) t.set(`model.layers.0.extra.${i}`, stored(1)); }, 'a model: tensors that are not part of this architecture (7): model.layers.0.extra.0, model.layers.0.extra.1, model.layers.0.extra.2, model.layers.0.extra.3, model.layers.0.extra.4, …. Check model_type in config.json.'],
    ['a bias of the head', 'llama_untied', (t) => t.set('lm_head.bias', stored(512)), 'a model: tensors that are not part of this architecture (1): lm_head.bias. Check model_type in config.json.'],
    ['a second norm of the trunk', 'llama_untied', (t) => t.set('model.embed_norm.weight', stored(64)), 'a model: tensors that are not part of this architecture (1): model.embed_norm.weight. Check model_type in config.json.'],
  ])('%s is named before anything is read', async (_, name, change, message) => {
    const error = await load(name, change).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toBe(message);
  });

  it.each<[string, string, Record<string, unknown>, string[], string[]]>([
    [
      'layers beyond num_hidden_layers',
      'llama_untied',
      { num_hidden_layers: 1 },
      [],
      ['9 tensors of layers after the first 1 (num_hidden_layers) not used.'],
    ],
    [
      'layer types of more layers',
      'gemma2',
      { num_hidden_layers: 1, layer_types: ['full_attention', 'full_attention'] },
      [],
      ['33 tensors of layers after the first 1 (num_hidden_layers) not used.'],
    ],
    [
      'a layer that predicts further tokens',
      'llama_untied',
      {},
      ['model.layers.2.eh_proj.weight', 'model.layers.2.embed_tokens.weight', 'model.layers.2.shared_head.norm.weight'],
      ['3 tensors of layers after the first 2 (num_hidden_layers) not used.'],
    ],
    [
      'the head of a classifier',
      'llama_untied',
      {},
      ['score.weight'],
      ['1 tensor outside of the language model not used: score (1).'],
    ],
    [
      'halves that see and hear',
      'llama_untied',
      {},
      ['vision_tower.a.weight', 'vision_tower.b.weight', 'model.visual.patch_embed.proj.weight', 'audio.x'],
      ['4 tensors outside of the language model not used: vision_tower (2), model.visual (1), audio (1).'],
    ],
    [
      'factors of a cache in 8 bits',
      'llama_untied',
      {},
      ['model.layers.0.self_attn.k_scale', 'model.layers.1.self_attn.v_proj.v_scale'],
      ['2 tensors with factors of a quantised cache not used: the cache is f32.'],
    ],
    [
      'buffers that old exports wrote along',
      'llama_untied',
      {},
      ['model.layers.0.self_attn.rotary_emb.inv_freq', 'model.rotary_emb.inv_freq'],
      [],
    ],
    ['the causal mask', 'gpt2', {}, ['h.0.attn.bias', 'h.1.attn.masked_bias', 'transformer.h.11.attn.bias'], []],
  ])('%s: not used, and told', async (_, name, config, extra, notes) => {
    const read = await load(
      name,
      (tensors) => {
        for (const tensor of extra) tensors.set(tensor, stored(1));
      },
      { config },
    );
    expect(read.notes).toEqual(notes);
    for (const tensor of extra) expect(read).not.toContain(tensor);
  });

  it('what an index does not list counts only where it is needed', async () => {
    const read = await load('llama_untied', (tensors) => {
      tensors.set('model.layers.0.self_attn.q_proj.bias', { ...stored(64), unlisted: true });
      tensors.set(Q, { ...tensors.get(Q)!, unlisted: true });
    });
    expect(read).toContain(Q);
    expect(read.notes).toEqual([]);
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

  it("GPT-2's head of its own is used, where the file has one", async () => {
    const files = await openFolder(modelFolder('gpt2'));
    const embed = files.checkpoint.tensors.get('wte.weight')!;
    const tensors = new Map([...files.checkpoint.tensors, ['lm_head.weight', embed] as const]);
    const { network } = planNetwork({
      ...files,
      checkpoint: { ...files.checkpoint, tensors, naturalDType: () => 'f32' },
    });
    expect(network.lmHead.weight).toMatchObject({ name: 'lm_head.weight' });
    await files.checkpoint.close();
  });

  it('frees what it read when reading fails midway', async () => {
    await expect(load('llama_untied', () => undefined, { fail: Q })).rejects.toThrow(`${Q} cannot be read`);
  });
});
