import {
  ftruncate,
  openSync,
  writeSync,
  closeSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
  cpSync,
  readFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { availableMemory } from '../../../src/platform/available-memory.ts';
import { load } from '../../../src/engine/load/load.ts';
import { planNetwork } from '../../../src/engine/load/plan-network.ts';
import { admit, assess, memoryNeed, type PlannedMemory } from '../../../src/engine/load/memory-plan.ts';
import { openFolder } from '../../../src/loader/folder/open-folder.ts';
import { modelFolder } from '../../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-memory-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('available memory', () => {
  const of = (files: Record<string, string>): number => availableMemory((path) => files[path]);
  const meminfo = 'MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n';

  it('is what the system can give without swapping', () => {
    expect(of({ '/proc/meminfo': meminfo })).toBe(8_000_000 * 1024);
  });

  it.each([
    [
      'version 2',
      { limit: 'memory.max', usage: 'memory.current', cache: 'inactive_file', root: '/sys/fs/cgroup', line: '0::' },
    ],
    [
      'version 1',
      {
        limit: 'memory.limit_in_bytes',
        usage: 'memory.usage_in_bytes',
        cache: 'total_inactive_file',
        root: '/sys/fs/cgroup/memory',
        line: '5:cpu,memory:',
      },
    ],
  ])('is bounded by the nearest limit of control groups, %s', (_, { limit, usage, cache, root, line }) => {
    const files = {
      '/proc/meminfo': meminfo,
      '/proc/self/cgroup': `9:pids:/other\n${line}/pod/box\n`,
      [`${root}/pod/box/${limit}`]: limit === 'memory.max' ? 'max\n' : '9223372036854771712\n',
      [`${root}/pod/box/${usage}`]: '100\n',
      [`${root}/pod/${limit}`]: '5000000000\n',
      [`${root}/pod/${usage}`]: '4000000000\n',
      [`${root}/pod/memory.stat`]: `anon 1\n${cache} 1500000000\n`,
    };
    // What the group holds of files can be given up.
    expect(of(files)).toBe(2_500_000_000);
    // In a container, its own group is the root.
    const { '/proc/self/cgroup': groups, ...rest } = files;
    const inside = { [`${root}/${limit}`]: '3000000000', [`${root}/${usage}`]: '2900000000' };
    expect(of({ ...rest, ...inside, '/proc/self/cgroup': groups.replace('/pod/box', '/') })).toBe(100_000_000);
  });

  it('is a number on this machine', () => {
    expect(availableMemory()).toBeGreaterThan(2 ** 27);
  });
});

async function planned(name: string, weights: 'auto' | 'f32' = 'auto'): Promise<PlannedMemory> {
  const files = await openFolder(modelFolder(name));
  await files.checkpoint.close();
  return planNetwork(files, { weights });
}

describe('what a model needs', () => {
  it('is its weights, the cache of its text and what a chunk of a prompt takes', async () => {
    const plan = await planned('llama_gqa_tied');
    const need = memoryNeed(plan, 2000);
    expect(need.weights).toBe(plan.weightBytes);
    // 2 layers, 2 heads, 16 numbers of keys and of values, f32.
    expect(need.cache).toBe(2 * 2 * 32 * 4 * 2000);
    // 4 heads of scores of 256 queries, three times.
    expect(need.working).toBeGreaterThan(4 * 3 * 4 * 256 * 2000);
    expect(need.total).toBe(need.weights + need.cache + need.working);
  });

  it('counts MXFP4 experts as they are stored, and in f32 what is held in it', async () => {
    const files = await openFolder(modelFolder('gpt_oss_mxfp4'));
    const stored = [...files.checkpoint.tensors];
    await files.checkpoint.close();
    const sum = (tensors: typeof stored): number => tensors.reduce((all, [, { bytes }]) => all + bytes, 0);
    // Vectors, the router and the biases of experts are stored in bf16.
    const widened = stored.filter(
      ([name, { shape }]) => shape.length === 1 || /router\.weight$|_proj_bias$/.test(name),
    );
    expect(planNetwork(files, { weights: 'auto' }).weightBytes).toBe(sum(stored) + sum(widened));
  });

  it('has scores of a block of queries at a time, which get shorter in a long text', async () => {
    const plan = await planned('llama_gqa_tied');
    const layer = memoryNeed(plan, 2 ** 20).cache / 2;
    expect(memoryNeed(plan, 2 ** 20).working - memoryNeed(plan, 2 ** 19).working).toBeLessThan(
      layer + 2 * 4 * 512 * 2 ** 20,
    );
  });

  it('does not grow with a window', async () => {
    const plan = await planned('mistral_sliding');
    expect(memoryNeed(plan, 2 ** 20)).toMatchObject({ cache: 2 * 2 * 32 * 4 * 8 });
    expect(memoryNeed(plan, 2 ** 20).working).toBe(memoryNeed(plan, 2 ** 21).working);
  });

  it('bounds the context where memory does', async () => {
    const plan = await planned('llama_gqa_tied');
    const { maxPositions } = plan.network.config;
    expect(admit('it', plan, { available: 2 ** 40 })).toBe(maxPositions);
    const available = memoryNeed(plan, 1000).total / 0.9;
    expect(assess(plan, { available }).need.context).toBe(maxPositions);
    expect(admit('it', plan, { available: available + 1 })).toBe(1000);
    expect(admit('it', plan, { available, maxMemory: memoryNeed(plan, 700).total })).toBe(700);
    expect(admit('it', plan, { available: 2 ** 40, context: 100 })).toBe(100);
    expect(admit('it', plan, { available: Infinity })).toBe(maxPositions);
    expect(admit('it', plan, { available: Infinity, context: 10 * maxPositions })).toBe(10 * maxPositions);
  });

  it('is refused with the figures and with what would fit', async () => {
    const plan = await planned('llama_gqa_tied', 'f32');
    const { weightBytes } = plan;
    expect(() => admit('it', plan, { available: 100_000 })).toThrow(
      /^it: expected to fit into memory, but 427 kB weights, .* for 512 tokens make .*90 kB may be taken of the 100 kB that are available\. Take a smaller model/,
    );
    const maxMemory = memoryNeed(plan, 600).total;
    expect(() => admit('it', plan, { available: 1e6, maxMemory, context: 1500 })).toThrow(
      /maxMemory allows .* Try a context of up to 600 tokens \(--context 600\)/,
    );
    const need = memoryNeed(plan, 512).total;
    expect(() => admit('it', plan, { available: 1e9, maxMemory: need - 1000 }, () => weightBytes / 2)).toThrow(
      /weights: 'bf16' \(--weights bf16\), which needs .*, or maxMemory \(--max-memory\) of at least/,
    );
    const source = modelFolder('llama_gqa_tied');
    for (const context of [0, -1, 1.5, NaN])
      await expect(load(source, { context })).rejects.toThrow(/^load: context must be a whole number from 1, got/);
    for (const maxMemory of [0, -1, NaN])
      await expect(load(source, { maxMemory })).rejects.toThrow(/^load: maxMemory must be a number of bytes above 0/);
  });
});

describe('advice to raise maxMemory', () => {
  it.each<[advised: boolean, when: string, available: number, maxMemory?: number]>([
    [true, 'what the machine has left suffices, and nine tenths of it do not', 1 / 0.95],
    [false, 'the machine has too little left', 0.99],
    [true, 'nine tenths of what the machine has left suffice', 1 / 0.89, 0.99],
    [false, 'more than nine tenths would be needed', 1 / 0.95, 0.99],
  ])('is given (%s) where %s', async (advised, _, available, maxMemory) => {
    const plan = await planned('llama_gqa_tied');
    const need = memoryNeed(plan, 512).total;
    const limits = { available: available * need, maxMemory: maxMemory && maxMemory * need };
    const advice = advised ? /--max-memory/ : /^((?!--max-memory).)*$/;
    expect(() => admit('it', plan, limits)).toThrow(advice);
  });
});

describe('a loaded model', () => {
  it('holds a text to the context that it was loaded for', async () => {
    using model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference', context: 8 });
    expect(model.maxLength).toBe(8);
    const tokens = [3, 4, 5, 6, 7, 8];
    const made = [];
    for await (const token of model.generate(tokens, { maxTokens: 50, temperature: 0, ignoreEos: true }))
      made.push(token);
    expect(made.at(-1)).toMatchObject({ finishReason: 'length' });
    // The last token is chosen and not computed.
    expect(made.length).toBe(3);
    using cache = model.newCache();
    model.forward(tokens, { cache }).dispose();
    expect(() => model.forward([3, 4, 5], { cache })).toThrow(
      /would have 9 tokens, .* loaded for at most 8\. Shorten it, or load/,
    );
    expect(() => model.forwardBatch([{ tokens: new Array<number>(9).fill(3) }])).toThrow(/at most 8/);
    await expect(model.generate(new Array<number>(9).fill(3)).next()).rejects.toThrow(/at most 8/);
  });

  it('ends a text where the model was made for no more, unless a longer context was asked for', async () => {
    const longest = 2048; // max_position_embeddings
    const tokens = Array.from({ length: longest - 2 }, (_, i) => i % 512);
    const options = { maxTokens: 50, temperature: 0, ignoreEos: true };
    using model = await load(modelFolder('llama_gqa_tied'));
    expect(model.maxLength).toBe(longest);
    expect(model.files.notes ?? []).toEqual([]);
    using cache = model.newCache();
    const made = [];
    for await (const token of model.generate(tokens, { ...options, cache })) made.push(token);
    expect(made.map(({ finishReason }) => finishReason)).toEqual([undefined, undefined, 'length']);
    expect(cache.length).toBe(longest);
    // No slot more than the text can fill: 2 layers of keys and values, 2 heads of 16 numbers.
    expect(cache.bytes).toBe(2 * 2 * 2 * 16 * 4 * longest);
    expect(() => model.forward([1], { cache })).toThrow(/^forward: the text would have 2049 tokens, .* at most 2048/);
    expect(() => model.score([...tokens, 1, 2, 3])).toThrow(/^score: the text would have 2049 tokens/);

    using longer = await load(modelFolder('llama_gqa_tied'), { context: 3000 });
    expect(longer.maxLength).toBe(3000);
    expect(longer.files.notes?.at(-1)).toMatch(/up to 3000 tokens .*the model was made for 2048/);
    const more = [];
    for await (const token of longer.generate(tokens, options)) more.push(token);
    expect(more.length).toBe(50);
    expect(more.slice(0, 3).map(({ token }) => token)).toEqual(made.map(({ token }) => token));
  });

  it('tells where memory bounds a text', async () => {
    const maxMemory = memoryNeed(await planned('llama_gqa_tied'), 600).total;
    using bounded = await load(modelFolder('llama_gqa_tied'), { backend: 'reference', maxMemory });
    expect(bounded.maxLength).toBe(600);
    expect(bounded.files.notes?.at(-1)).toMatch(/up to 600 tokens fit into memory, of 2048/);
    await expect(load(modelFolder('llama_gqa_tied'), { maxMemory: 1000 })).rejects.toThrow(/maxMemory allows 1 kB/);
  });
});

describe('hostile configurations', () => {
  const config = JSON.parse(readFileSync(join(modelFolder('llama_gqa_tied'), 'config.json'), 'utf8')) as object;

  /** The network of a small model, with other words in its config.json. */
  function altered(name: string, fields: object): string {
    const out = join(folder, name);
    cpSync(modelFolder('llama_gqa_tied'), out, { recursive: true });
    writeFileSync(join(out, 'config.json'), JSON.stringify({ ...config, ...fields }));
    return out;
  }

  it.each([
    [{ hidden_size: 2 ** 40 }, /hidden_size must be/],
    [{ hidden_size: 2 ** 17, head_dim: 16 }, /expected \[512, 131072\]/],
    [{ num_hidden_layers: 1e9 }, /num_hidden_layers must be/],
    [{ num_hidden_layers: 1024 }, /layers\.2\./],
    [{ vocab_size: 1e12 }, /vocab_size must be/],
    [{ vocab_size: 2 ** 22 }, /expected \[4194304, 64\]/],
    [{ intermediate_size: 1e15 }, /intermediate_size must be/],
    [{ num_attention_heads: 1e9, num_key_value_heads: 1e9 }, /num_attention_heads must be/],
    [{ head_dim: 2 ** 17 }, /q_proj|expected \[/],
    [{ max_position_embeddings: 1e9 }, /max_position_embeddings must be a number from 1 to/],
    [{ model_type: 'mistral', sliding_window: 1e300 }, /./],
    [{ hidden_size: -1 }, /hidden_size must be/],
    [{ hidden_size: '64' }, /hidden_size must be/],
  ])('%j is refused before memory is taken', async (fields, message) => {
    const source = altered(`hostile-${JSON.stringify(fields).replaceAll(/\W/g, '')}`, fields);
    const before = process.memoryUsage.rss();
    await expect(load(source, { backend: 'reference' })).rejects.toThrow(message);
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 26);
  });

  it('a context of millions takes no memory that is not used', async () => {
    const source = altered('long', { max_position_embeddings: 2 ** 24 });
    const before = process.memoryUsage.rss();
    using model = await load(source, { backend: 'reference', maxMemory: 2 ** 30 });
    expect(model.maxLength).toBeLessThan(2 ** 20);
    using cache = model.newCache();
    model.forward([3, 4, 5], { cache }).dispose();
    expect(cache.bytes).toBeLessThan(2 ** 16);
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 26);
    await expect(load(source, { maxMemory: 2 ** 30, context: 1e9 })).rejects.toThrow(/for 1000000000 tokens make/);
  });

  it('weights larger than the machine are refused before one is read', async () => {
    const out = altered('sparse', {
      hidden_size: 2 ** 16,
      num_attention_heads: 2 ** 12,
      num_key_value_heads: 1,
      vocab_size: 2 ** 22,
      intermediate_size: 1,
      num_hidden_layers: 1,
      tie_word_embeddings: true,
    });
    const D = 2 ** 16;
    const shapes: Record<string, number[]> = {
      'model.embed_tokens.weight': [2 ** 22, D],
      'model.norm.weight': [D],
      'model.layers.0.input_layernorm.weight': [D],
      'model.layers.0.post_attention_layernorm.weight': [D],
      'model.layers.0.self_attn.q_proj.weight': [D, D],
      'model.layers.0.self_attn.k_proj.weight': [16, D],
      'model.layers.0.self_attn.v_proj.weight': [16, D],
      'model.layers.0.self_attn.o_proj.weight': [D, D],
      'model.layers.0.mlp.gate_proj.weight': [1, D],
      'model.layers.0.mlp.up_proj.weight': [1, D],
      'model.layers.0.mlp.down_proj.weight': [D, 1],
    };
    await sparse(join(out, 'model.safetensors'), shapes);
    const before = process.memoryUsage.rss();
    await expect(load(out, { backend: 'reference' })).rejects.toThrow(
      /expected to fit into memory, but 56\d\.\d+ GB weights/,
    );
    expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 26);
  });

  /** A file whose header is right and whose numbers are a hole. */
  async function sparse(path: string, shapes: Record<string, number[]>): Promise<void> {
    let offset = 0;
    const entries = Object.entries(shapes).map(([name, shape]) => {
      const bytes = 2 * shape.reduce((product, size) => product * size, 1);
      return [name, { dtype: 'BF16', shape, data_offsets: [offset, (offset += bytes)] }];
    });
    const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    rmSync(path);
    const file = openSync(path, 'wx');
    writeSync(file, Buffer.concat([length, header]));
    await promisify(ftruncate)(file, 8 + header.length + offset);
    closeSync(file);
  }
});
