import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { BACKEND_NAMES } from '../../src/tensor/backends.ts';
import { MODEL, runCli, runJson } from './run-cli.ts';

describe('vitrine info', () => {
  it.each([
    {
      model: MODEL,
      // 512 x 64 embedding, 2 layers of (64 x (64 + 32 + 32 + 64) + 3 x 64 x 128 + 2 x 64), norm 64; nothing else: tied.
      parameters: 512 * 64 + 2 * (64 * 192 + 3 * 64 * 128 + 2 * 64) + 64,
      formats: { BF16: { tensors: 20, bytes: 2 * 106_816 } },
      context: 2048,
      // Matrices as stored, the 5 norms of 64 in f32; 2 layers x 2 heads x (16 + 16) numbers x 4 bytes x 1,000 tokens.
      memory: { weights: 2 * 106_816 + 5 * 64 * 2, cachePer1000Tokens: 2 * 2 * 32 * 4 * 1000 },
      tokenizer: { vocabSize: 512, chatTemplate: true },
      eos: [
        { id: 508, token: '<|im_end|>' },
        { id: 506, token: '<|endoftext|>' },
      ],
      config: { modelType: 'llama', nLayers: 2, nHeads: 4, nKvHeads: 2, headDim: 16 },
    },
    {
      model: 'test/fixtures/models/mistral_sliding',
      // A ring of 8 slots per layer, whatever the length of the text.
      memory: { weights: 279_808, cachePer1000Tokens: 2 * 2 * 32 * 4 * 8 },
      tokenizer: null,
      eos: [{ id: 2, token: null }],
      config: { modelType: 'mistral', windows: [8, 8] },
    },
    {
      model: 'test/fixtures/gguf/qwen2-q8_0.gguf',
      formats: { Q8_0: { tensors: 15 }, F32: { tensors: 11 } },
      config: { modelType: 'qwen2' },
    },
  ])('describes $model by its config and header', async ({ model, ...expected }) => {
    expect(await runJson(['info', model, '--json'])).toMatchObject({ model: { source: model, ...expected } });
  });

  it('counts the memory of weights in the dtype of --weights', async () => {
    const info = await runJson(['info', MODEL, '--json', '--weights', 'f32']);
    expect(info).toMatchObject({ model: { memory: { weights: 4 * 106_816 } } });
  });

  it('states the memory for a text of --context tokens, and whether it fits', async () => {
    const args = ['info', MODEL, '--json', '--context', '1000', '--max-memory', '60MB'];
    const { model } = (await runJson(args)) as { model: { memory: Record<string, unknown> } };
    expect(model.memory).toMatchObject({ need: { context: 1000, cache: 512_000 }, budget: 60e6, fitting: 1000 });
    const small = await runCli(['info', MODEL, '--max-memory', '20MB']);
    expect(small.stdout).toMatch(/needs .*214 kB weights, 1\.0 MB cache .* for 2,?048 tokens/);
    expect(small.stdout).toMatch(/fits +up to [\d,]+ tokens, into 20\.0 MB/);
  });

  it('describes the machine, and the backend that is used', async () => {
    const { model, machine } = (await runJson(['info', '--json'])) as {
      model: unknown;
      machine: { node: string; backends: { name: string; used: boolean; description: string }[] };
    };
    expect(model).toBeNull();
    expect(machine).toMatchObject({ node: process.version, threads: availableParallelism() });
    expect(machine.backends.map(({ name, used }) => [name, used])).toEqual(
      BACKEND_NAMES.map((name, i) => [name, i === 0]),
    );
    expect(machine.backends[0].description).toMatch(/^TensorFlow \d/);
  });

  it('prints the same as text', async () => {
    const { code, stdout, stderr } = await runCli(['info', MODEL]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const words of ['llama, 2 layers', '106,816', '20 tensors BF16', '2,048 tokens', '508 <|im_end|>', 'used'])
      expect(stdout).toContain(words);
  });
});
