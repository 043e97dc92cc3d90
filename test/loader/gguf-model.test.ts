import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadNetwork } from '../../src/engine/load/load-network.ts';
import { openGguf } from '../../src/loader/gguf/open-gguf.ts';
import { byteSize, elements } from '../../src/tensor/dtype.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { expectNear, readExpected, Runner } from '../support/fixtures.ts';

// Small models written with llama.cpp's Python package gguf in the layout of its conversion: q and k of llama, granite and
// smollm3 permuted, 1 added to the norms of Gemma, GPT-2's matrices transposed, the rows of GPT-NeoX's q, k and v reordered.
// expected.json has the published configuration and, for each tensor, the SHA-256 of the f32 values in the published order of
// rows, computed from the original weights.
const folder = fileURLToPath(new URL('../fixtures/gguf/', import.meta.url));
const expected = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8')) as Record<
  string,
  { config: Record<string, unknown>; tensors: Record<string, { type: string; shape: number[]; sha256: string }> }
>;

test.each(Object.keys(expected))('%s has the published names, shapes, values and configuration', async (name) => {
  const model = await openGguf(`${folder}${name}.gguf`);
  const { tensors, config } = expected[name];
  expect(model.config).toMatchObject(config);
  expect([...model.checkpoint.tensors.keys()].sort()).toEqual(Object.keys(tensors).sort());
  for (const [tensor, { type, shape, sha256 }] of Object.entries(tensors)) {
    const bytes = new Uint8Array(elements(shape) * 4);
    await model.checkpoint.read(tensor, 'f32', bytes);
    expect(model.checkpoint.tensors.get(tensor), tensor).toMatchObject({ format: type, shape });
    expect(createHash('sha256').update(bytes).digest('hex'), tensor).toBe(sha256);
  }
  await model.checkpoint.close();
});

test.each(['qwen3-q4_1', 'llama-bf16'])('reads parts of a tensor of %s', async (name) => {
  const { checkpoint } = await openGguf(`${folder}${name}.gguf`);
  const tensor = 'model.embed_tokens.weight';
  const { shape } = checkpoint.tensors.get(tensor)!;
  for (const dtype of ['f32', 'bf16'] as const) {
    const width = byteSize(dtype);
    const whole = new Uint8Array(elements(shape) * width);
    await checkpoint.read(tensor, dtype, whole);
    const part = new Uint8Array(96 * width);
    await checkpoint.read(tensor, dtype, part, undefined, 64);
    expect(part).toEqual(whole.slice(64 * width, 160 * width));
  }
  await expect(checkpoint.read(tensor, 'f32', new Uint8Array(128), undefined, elements(shape))).rejects.toThrow(
    /got f32 and 128 bytes from element \d+ on/,
  );
  if (name === 'qwen3-q4_1')
    await expect(checkpoint.read(tensor, 'f32', new Uint8Array(128), undefined, 5)).rejects.toThrow(
      /from element 5 on/,
    );
  await checkpoint.close();
});

// Models stored without loss and with all settings; not Gemma 2, whose query scale llama.cpp derives from other settings.
test.each([
  ['granite-bf16', 'granite'],
  ['smollm3-bf16', 'smollm3'],
  ['gemma3-bf16', 'gemma3_text'],
  ['phi3-longrope-bf16', 'phi3_longrope_short'],
  ['gpt2-f16', 'gpt2_prefixed'],
  ['gptneox-f16', 'gpt_neox'],
])('%s gives the logits of the original model', async (name, original) => {
  const files = await openGguf(`${folder}${name}.gguf`);
  const backend = new ReferenceBackend();
  const runner = Runner.of(backend, await loadNetwork(files, backend, { weights: 'f32' }));
  const known = await readExpected(original);
  expectNear(runner.fresh([...known('input_ids').data]), known('logits').data, 3e-4, 'logits');
  runner.dispose();
  await files.checkpoint.close();
});

test('the natural dtype is the stored one for floats, and bf16 for block formats', async () => {
  const natural = async (name: string, tensor: string) => {
    const { checkpoint } = await openGguf(`${folder}${name}.gguf`);
    await checkpoint.close();
    return checkpoint.naturalDType(tensor);
  };
  expect(await natural('llama-bf16', 'model.embed_tokens.weight')).toBe('bf16');
  expect(await natural('llama-bf16', 'model.norm.weight')).toBe('f32');
  expect(await natural('llama-bias-f16', 'model.embed_tokens.weight')).toBe('f16');
  expect(await natural('qwen3-q4_1', 'model.embed_tokens.weight')).toBe('bf16');
});

test('reads the stop tokens and the tokenizer from the metadata', async () => {
  const { checkpoint, generationConfig, tokenizer } = await openGguf(`${folder}llama-bf16.gguf`);
  await checkpoint.close();
  expect(generationConfig).toEqual({ eos_token_id: [508, 506], pad_token_id: 506 });
  const { encode } = JSON.parse(readFileSync(`${folder}../tokenizers/bpe_chatml/cases.json`, 'utf8')) as {
    encode: { text: string; ids: number[] }[];
  };
  const own = new Tokenizer(tokenizer!);
  for (const { text, ids } of encode) expect(own.encode(text), text).toEqual(ids);
});
