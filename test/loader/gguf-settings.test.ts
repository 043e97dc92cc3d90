import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { convert } from '../../src/loader/convert/convert-model.ts';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import { openGguf } from '../../src/loader/gguf/open-gguf.ts';
import { Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { array, f32, key, T, text, u32, u8, withKeys } from './gguf-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-settings-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const fixture = (name: string): Buffer =>
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'gguf', `${name}.gguf`));

let files = 0;
function write(bytes: Buffer): string {
  const path = join(folder, `${++files}.gguf`);
  writeFileSync(path, bytes);
  return path;
}

async function opened(name: string, ...keys: Buffer[]) {
  const model = await openGguf(write(withKeys(fixture(name), ...keys)));
  await model.checkpoint.close();
  return model;
}

const rope = (name: string, value: number) => key(`llama.rope.${name}`, T.f32, f32(value));
const type = (value: string) => key('llama.rope.scaling.type', T.text, text(value));

// As llama.cpp reads the keys (llama-model.cpp, load_hparams): the type is linear by default, the factor may have its older
// name, and a factor of 0 means no scaling.
test.each<[string, Buffer[], unknown]>([
  ['no key', [], null],
  ['the older key', [rope('scale_linear', 4)], { rope_type: 'linear', factor: 4 }],
  ['a factor without a type', [rope('scaling.factor', 2.5)], { rope_type: 'linear', factor: 2.5 }],
  ['type and factor', [type('linear'), rope('scaling.factor', 4)], { rope_type: 'linear', factor: 4 }],
  ['both keys', [rope('scaling.factor', 2), rope('scale_linear', 4)], { rope_type: 'linear', factor: 2 }],
  ['a factor with type none', [type('none'), rope('scaling.factor', 4)], null],
  ['a factor of 1', [rope('scale_linear', 1)], null],
  ['a factor of 0', [rope('scaling.factor', 0)], null],
  [
    'yarn',
    [type('yarn'), rope('scaling.factor', 4), rope('scaling.yarn_beta_fast', 16), rope('scaling.yarn_ext_factor', 1)],
    { rope_type: 'yarn', factor: 4, beta_fast: 16 },
  ],
  [
    'yarn with more attention',
    [type('yarn'), rope('scaling.factor', 4), rope('scaling.attn_factor', 2)],
    { rope_type: 'yarn', factor: 4, attention_factor: 2 * (0.1 * Math.log(4) + 1) },
  ],
])('reads rope_scaling from %s', async (_, keys, expected) => {
  expect((await opened('llama-bf16', ...keys)).config.rope_scaling).toEqual(expected);
});

test.each<[string, string, Buffer[], RegExp]>([
  ['yarn without a factor', 'llama-bf16', [type('yarn')], /factor of yarn/],
  [
    'yarn that extrapolates',
    'llama-bf16',
    [type('yarn'), rope('scaling.factor', 4), rope('scaling.yarn_ext_factor', 0.5)],
    /yarn_ext_factor.*expected 1 or none, got 0\.5/,
  ],
  ['an unknown type', 'llama-bf16', [type('spiral')], /expected none, linear or yarn, got "spiral"/],
  ['longrope without factors', 'llama-bf16', [type('longrope')], /got "longrope"/],
  ['a negative factor', 'llama-bf16', [rope('scaling.factor', -2)], /not negative, got -2/],
  ['divisors and a factor', 'llama3-rope-q8_0', [rope('scaling.factor', 2)], /beside the divisors/],
  ['attention to later tokens', 'llama-bf16', [key('llama.attention.causal', T.bool, u8(0))], /attention\.causal/],
  [
    'another gating of experts',
    'qwen3moe-bf16',
    [key('qwen3moe.expert_gating_func', T.u32, u32(2))],
    /expert_gating_func.*expected 1 or none, got 2/,
  ],
  [
    'scaled weights of experts',
    'mixtral-bf16',
    [key('llama.expert_weights_scale', T.f32, f32(2.5))],
    /expert_weights_scale.*got 2\.5/,
  ],
])('refuses %s', async (_, name, keys, message) => {
  await expect(openGguf(write(withKeys(fixture(name), ...keys)))).rejects.toThrow(message);
});

test('refuses fewer rotary dimensions than a head has, where the published code rotates all of them', async () => {
  const bytes = fixture('llama-bf16');
  const at = bytes.indexOf('llama.rope.dimension_count');
  expect(at).toBeGreaterThan(0);
  bytes.writeUInt32LE(8, at + 'llama.rope.dimension_count'.length + 4);
  await expect(openGguf(write(bytes))).rejects.toThrow(/rope\.dimension_count.*expected 16, all dimensions.*got 8/);
});

test('has no rope_scaling where all divisors are 1', async () => {
  const bytes = fixture('llama3-rope-q8_0');
  const header = await import('../../src/loader/gguf/gguf-header.ts');
  const { tensors } = await header.readGgufHeader({
    path: 'test',
    size: bytes.length,
    read: (target, position) => {
      target.set(bytes.subarray(position, position + target.length));
      return Promise.resolve();
    },
  });
  const { position, bytes: size } = tensors.get('rope_freqs.weight')!;
  for (let i = 0; i < size; i += 4) bytes.writeFloatLE(1, position + i);
  const model = await openGguf(write(bytes));
  await model.checkpoint.close();
  expect(model.config.rope_scaling).toBeNull();
});

test('notes the keys that are not supported, and no key of the fixtures', async () => {
  const { notes } = await opened(
    'llama-bf16',
    key('llama.logit_scale', T.f32, f32(2)),
    key('general.mood', T.u8, u8(1)),
  );
  expect(notes).toEqual(['metadata keys that are not supported are ignored: "llama.logit_scale".']);
  for (const name of [
    'llama-bf16',
    'gemma2-bf16',
    'gemma3-bf16',
    'phi3-longrope-bf16',
    'gpt2-f16',
    'gptneox-f16',
    'gpt-oss-mxfp4',
    'deepseek-v2-bf16',
    'deepseek-v3-bf16',
    'mixtral-bf16',
    'qwen3moe-bf16',
    'granite-bf16',
    'olmo2-f16',
    'smollm3-bf16',
  ])
    expect((await opened(name)).notes, name).toEqual([]);
  const many = Array.from({ length: 300 }, (_, i) => key(`llama.${'x'.repeat(60_000)}${i}`, T.u8, u8(1)));
  const [note] = (await opened('llama-bf16', ...many)).notes!;
  expect(note).toMatch(/ and 292 more\.$/);
  expect(note.length).toBeLessThan(2000);
});

test('takes an array of equal values, one for each layer, as one value', async () => {
  const name = 'qwen2.attention.head_count_kv';
  const bytes = fixture('qwen2-q8_0');
  const plain = await opened('qwen2-q8_0');
  const heads = plain.config.num_key_value_heads as number;
  // The key is renamed, and added again with an array.
  bytes.write('qwen2.attention.head_count_xx', bytes.indexOf(name));
  const each = (values: number[]) => withKeys(bytes, key(name, T.array, array(T.u32, values.map(u32))));
  const model = await openGguf(write(each([heads, heads])));
  await model.checkpoint.close();
  expect(model.config.num_key_value_heads).toBe(heads);
  await expect(openGguf(write(each([heads, heads + 1])))).rejects.toThrow(/head_count_kv.*got an array of 2/);
});

test('refuses a number of heads that is too large, or does not divide the rows of q, k and v', async () => {
  const withHeads = (heads: number) => {
    const bytes = fixture('gptneox-f16');
    const name = 'gptneox.attention.head_count';
    bytes.writeUInt32LE(heads, bytes.indexOf(name) + name.length + 4);
    return openGguf(write(bytes));
  };
  await expect(withHeads(2 ** 31)).rejects.toThrow(/head_count.*at most 65536, got 2147483648/);
  const { checkpoint } = await withHeads(7);
  const [name, { shape }] = [...checkpoint.tensors].find(([name]) => name.endsWith('query_key_value.weight'))!;
  const target = new Uint8Array(4 * shape[0] * shape[1]);
  await expect(checkpoint.read(name, 'f32', target)).rejects.toThrow(/each of 7 heads, got \d+ rows/);
  await checkpoint.close();
});

test('reads from Gemma 3 which layers have a sliding window', async () => {
  const name = 'gemma3.attention.sliding_window_pattern';
  const bytes = fixture('gemma3-bf16');
  const at = bytes.indexOf(name);
  if (at > 0) bytes.write('gemma3.attention.sliding_window_xxxxxxx', at);
  const layers = (await opened('gemma3-bf16')).config.num_hidden_layers as number;
  const flags = Array.from({ length: layers }, (_, i) => u8(i % 2));
  const model = await openGguf(write(withKeys(bytes, key(name, T.array, array(T.bool, flags)))));
  await model.checkpoint.close();
  expect(model.config.layer_types).toEqual(
    flags.map(([slides]) => (slides === 1 ? 'sliding_attention' : 'full_attention')),
  );
});

test('renders the template for tools when tools are given, also from a folder that convert wrote', async () => {
  const template = key('tokenizer.chat_template.tool_use', T.text, text('TOOLS:{{ tools | tojson }}'));
  const names = key('tokenizer.chat_templates', T.array, array(T.text, [text('tool_use')]));
  const path = write(withKeys(fixture('llama-bf16'), template, names));
  const out = join(folder, 'converted');
  await convert(path, out);
  // The second call replaces the output of the first.
  await convert(path, out);
  for (const model of [await openGguf(path), await openFolder(out)]) {
    await model.checkpoint.close();
    const tokenizer = new Tokenizer(model.tokenizer!);
    expect(model.tokenizer!.toolTemplate).toBe('TOOLS:{{ tools | tojson }}');
    const text = tokenizer.renderChat([{ role: 'user', content: 'Hi' }], { tools: [{ name: 'f' }] }).text;
    expect(text).toBe('TOOLS:[{"name": "f"}]');
    expect(tokenizer.renderChat([{ role: 'user', content: 'Hi' }]).text).not.toMatch(/TOOLS/);
  }
});
