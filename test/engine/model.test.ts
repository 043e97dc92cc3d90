import { mkdtempSync, rmSync, writeFileSync, cpSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { liveTensors, load, type Model } from '../../src/index.ts';
import { BACKEND_NAMES, backendStatus } from '../../src/tensor/backends.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';
import { modelFolder, readExpected, readMeta } from '../support/fixtures.ts';

describe.each(TESTED_BACKENDS)('a model on %s', (backend) => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { backend, weights: 'f32' });
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    it('scores a text as transformers does', async () => {
      const ids = (await readExpected('llama_gqa_tied'))('input_ids').data;
      const { nll, perplexity, logprobs } = model.score([...ids]);
      const meta = readMeta('llama_gqa_tied') as { nll_sum: number; perplexity: number };
      expect(Math.abs(nll / meta.nll_sum - 1)).toBeLessThan(1e-4);
      expect(Math.abs(perplexity / meta.perplexity - 1)).toBeLessThan(1e-4);
      expect(logprobs.length).toBe(ids.length - 1);
    });

    it('gives the last row, all rows, and several sequences at once', () => {
      const sequences = [[1, 2, 3, 4, 5], [9], [7, 7, 100, 30]];
      const all = model.forward(sequences[0], { logits: 'all' });
      const last = model.forward(sequences[0]);
      const batch = model.forwardBatch(sequences.map((tokens) => ({ tokens })));
      const V = model.config.vocabSize;
      expect(all.shape).toEqual([5, V]);
      expect(last.shape).toEqual([1, V]);
      expect(batch.shape).toEqual([3, V]);
      near(all.data().subarray(4 * V), last.data());
      sequences.forEach((tokens, i) => {
        const alone = model.forward(tokens);
        near(alone.data(), batch.data().subarray(i * V, (i + 1) * V));
        alone.dispose();
      });
      for (const tensor of [all, last, batch]) tensor.dispose();
    });

    it('refuses one cache for two sequences', () => {
      const cache = model.newCache();
      const twice = [
        { tokens: [1], cache },
        { tokens: [2], cache },
      ];
      expect(() => model.forwardBatch(twice)).toThrow(/share a cache/);
      cache.dispose();
    });

    it('loads in bf16, close to f32', async () => {
      const half = await load(modelFolder('llama_gqa_tied'), { backend, compute: 'bf16' });
      expect(half.weightBytes).toBeLessThan(0.6 * model.weightBytes);
      const [a, b] = [model, half].map((which) => which.forward([1, 2, 3, 4]));
      const values = b.data();
      const largest = a.data().reduce((max, x, i) => Math.max(max, Math.abs(x - values[i])), 0);
      expect(largest).toBeGreaterThan(0);
      expect(largest).toBeLessThan(0.15);
      for (const tensor of [a, b]) tensor.dispose();
      half.dispose();
    });
  });
});

const near = (a: Float32Array, b: Float32Array): void => {
  expect(a.reduce((max, x, i) => Math.max(max, Math.abs(x - b[i])), 0)).toBeLessThan(3e-4);
};

describe('load', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vitrine-load-'));
    return () => {
      rmSync(folder, { recursive: true });
    };
  });

  /** A copy of a small model with changes in its config.json. */
  const changed = (name: string, changes: object): string => {
    const copy = join(folder, name);
    cpSync(modelFolder('llama_bias'), copy, { recursive: true });
    const config = {
      model_type: 'llama',
      hidden_size: 48,
      intermediate_size: 96,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 4,
      head_dim: 16,
      vocab_size: 512,
      attention_bias: true,
      mlp_bias: true,
      rms_norm_eps: 1e-5,
    };
    writeFileSync(join(copy, 'config.json'), JSON.stringify({ ...config, ...changes }));
    return copy;
  };

  it.each<[string, object, RegExp]>([
    [
      'another architecture',
      { model_type: 'bert' },
      /model_type "bert" is not supported \(supported: llama, mistral, .*gpt_neox/,
    ],
    ['a missing size', { hidden_size: null }, /hidden_size must be .* got nothing/],
    ['a size that is text', { num_hidden_layers: '2' }, /num_hidden_layers must be .* got "2"/],
    ['layers without end', { num_hidden_layers: 1e9 }, /num_hidden_layers must be a number from 1 to 1024/],
    ['a vocabulary beyond all memory', { vocab_size: 2 ** 40 }, /vocab_size/],
    ['heads that do not divide', { num_key_value_heads: 3 }, /multiple of num_key_value_heads 3/],
    ['an unknown activation', { hidden_act: 'spiral' }, /hidden_act "spiral" is not supported here .supported: silu, /],
    ['an unknown rope', { rope_scaling: { rope_type: 'spiral' } }, /"spiral" is not supported/],
    [
      'a wider model than the file',
      { hidden_size: 64 },
      /model\.embed_tokens\.weight: expected \[512, 64\].*\[512, 48\]/,
    ],
    ['more layers than the file', { num_hidden_layers: 3 }, /model\.layers\.2\..*no tensor of this name/],
  ])('refuses %s before it reads a weight', async (name, changes, message) => {
    const before = liveTensors();
    await expect(load(changed(name, changes), { backend: 'reference' })).rejects.toThrow(message);
    expect(liveTensors()).toBe(before);
  });

  it('stops on abort and leaves nothing', async () => {
    const before = liveTensors();
    const source = modelFolder('qwen2');
    await expect(load(source, { backend: 'reference', signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    expect(liveTensors()).toBe(before);
  });

  it('tells which backends there are, and refuses others', async () => {
    expect(backendStatus().map(({ name }) => name)).toEqual(BACKEND_NAMES);
    const backend = 'abacus' as 'reference';
    await expect(load(modelFolder('qwen2'), { backend })).rejects.toThrow(
      /backend must be "auto", .* or ".*", got "abacus"/,
    );
  });

  it('forgets nothing when it is disposed of, and says so when used', async () => {
    const before = liveTensors();
    const model = await load(modelFolder('qwen2'), { backend: 'reference' });
    model.dispose();
    model.dispose();
    expect(liveTensors()).toBe(before);
    expect(() => model.forward([1])).toThrow(/disposed of/);
  });
});
