import { describe, expect, it } from 'vitest';
import { runPass } from '../../../src/engine/passes.ts';
import { loadNetwork } from '../../../src/engine/load/load-network.ts';
import { planNetwork } from '../../../src/engine/load/plan-network.ts';
import { memoryNeed } from '../../../src/engine/load/memory-plan.ts';
import { openFolder } from '../../../src/loader/folder/open-folder.ts';
import { KvCache } from '../../../src/model/cache/kv-cache.ts';
import type { Backend } from '../../../src/tensor/backend.ts';
import { attention, type AttentionOptions } from '../../../src/tensor/ops/attention.ts';
import { ReferenceBackend } from '../../../src/tensor/reference/reference-backend.ts';
import { scope } from '../../../src/tensor/scope.ts';
import { Tensor } from '../../../src/tensor/tensor.ts';
import { modelFolder } from '../../support/fixtures.ts';

/** The reference backend, and the most bytes that its handles and variables had at once: the numbers that a pass really holds. */
function measured(): {
  backend: Backend;
  readonly peak: () => number;
  readonly live: () => number;
  readonly reset: () => void;
} {
  const backend = new ReferenceBackend();
  const holders = new Map<unknown, number>();
  let [live, peak] = [0, 0];
  const bytesOf = (handle: unknown): number => (handle as { byteLength: number }).byteLength;
  const hold = (handle: unknown): unknown => {
    const count = holders.get(handle) ?? 0;
    if (count === 0) live += bytesOf(handle);
    holders.set(handle, count + 1);
    peak = Math.max(peak, live);
    return handle;
  };
  const drop = (handle: unknown): void => {
    const count = holders.get(handle)! - 1;
    holders.set(handle, count);
    if (count === 0) live -= bytesOf(handle);
    if (count === 0) holders.delete(handle);
  };
  const makes = new Set<keyof Backend>([
    'upload',
    'matmul',
    'binary',
    'unary',
    'reduce',
    'softmax',
    'gather',
    'concat',
    'slice',
    'transpose',
    'reshape',
    'cast',
    'createVariable',
    'readVariable',
  ]);
  const get = (_: Backend, name: keyof Backend): unknown => {
    const member: unknown = Reflect.get(backend, name);
    if (typeof member !== 'function') return member;
    const call = (member as (...args: unknown[]) => unknown).bind(backend);
    if (makes.has(name)) return (...args: unknown[]) => hold(call(...args));
    if (name === 'split') return (...args: unknown[]) => (call(...args) as unknown[]).map(hold);
    if (name === 'free' || name === 'freeVariable')
      return (handle: unknown) => {
        drop(handle);
        call(handle);
      };
    return call;
  };
  return {
    backend: new Proxy(backend, { get }),
    peak: (): number => peak,
    live: () => live,
    reset: () => {
      peak = live;
    },
  };
}

/** What a prompt of `context` tokens takes beyond the weights, in chunks as `generate` gives them, and what was planned for it. */
async function compare(name: string, context: number) {
  const files = await openFolder(modelFolder(name));
  const { backend, peak, live, reset } = measured();
  const plan = planNetwork(files, { weights: 'f32' });
  const loaded = await loadNetwork(files, backend, { weights: 'f32' });
  const { network } = loaded;
  await files.checkpoint.close();
  const base = live();
  reset();
  const cache = new KvCache(backend, network.cacheLayout, context);
  for (let from = 0; from < context; from += 512) {
    const tokens = Int32Array.from({ length: Math.min(512, context - from) }, (_, i) => (from + i) % 500);
    runPass({ network, backend, sequences: [{ tokens, cache }], rows: 'last' }).dispose();
  }
  const need = memoryNeed(plan, context);
  const result = {
    measured: peak() - base,
    cache: cache.bytes,
    plannedCache: need.cache,
    planned: need.cache + need.working,
  };
  cache.dispose();
  expect(live()).toBe(base);
  loaded.dispose();
  return result;
}

describe('what a prompt really takes', () => {
  // In a long text the scores weigh most; a bound on them (gemma2) and sinks (gpt_oss) take further copies.
  it.each([
    ['llama_gqa_tied', 300],
    ['llama_gqa_tied', 1000],
    ['gemma2', 700],
    ['gpt_oss', 1300],
    ['mistral_sliding', 300],
  ])('%s with %i tokens is within what was planned, and not far below', async (name, context) => {
    const { measured, cache, plannedCache, planned } = await compare(name, context);
    expect(cache).toBe(plannedCache);
    expect(measured / planned).toBeLessThanOrEqual(1);
    expect(measured / planned).toBeGreaterThan(0.5);
  });
});

/** The most copies of the scores `[H, T, S]` that attention holds at once. */
function copiesOfScores(options: (backend: Backend) => Partial<AttentionOptions>): number {
  const [T, H, S, d] = [16, 4, 1024, 8];
  const { backend, peak, live, reset } = measured();
  let copies = 0;
  scope('', () => {
    const ones = (...shape: number[]): Tensor =>
      Tensor.from(backend, new Float32Array(shape.reduce((a, b) => a * b)).fill(1), shape);
    const [q, keys, values, mask] = [ones(T, H, d), ones(H, S, d), ones(H, S, d), ones(T, S)];
    const sequence = { begin: 0, end: T, keys, values, mask, positions: Int32Array.from({ length: S }, (_, i) => i) };
    const given = options(backend);
    reset();
    const base = live();
    attention(q, [sequence], { scale: 1, ...given });
    copies = (peak() - base) / (4 * H * T * S);
  });
  return copies;
}

describe('the copies of the scores that are planned for', () => {
  const sinks = (backend: Backend) => ({ sinks: Tensor.from(backend, new Float32Array(4), [4]) });
  it.each([
    ['none beside', () => ({}), 3],
    ['a bound', () => ({ softCap: 50 }), 6],
    ['sinks', sinks, 5],
  ] as const)('%s: are those that attention holds', (_, options, planned) => {
    const copies = copiesOfScores(options);
    expect(copies).toBeLessThanOrEqual(planned + 0.05);
    expect(copies).toBeGreaterThan(planned - 1.2);
  });

  it('are in the plan: with sinks two more', async () => {
    const files = await openFolder(modelFolder('gpt_oss'));
    const { network, weightBytes } = planNetwork(files, { weights: 'f32' });
    await files.checkpoint.close();
    const { nHeads } = network.config;
    const bare = Object.create(network, {
      config: { value: { ...network.config, attentionSinks: false } },
    }) as typeof network;
    const context = 100_000; // So long that the scores outweigh all else.
    const working = (of: typeof network): number => memoryNeed({ network: of, weightBytes }, context).working;
    const scores = (working(network) - working(bare)) / 2;
    expect(scores % (4 * nHeads * context)).toBe(0); // Whole rows of all heads.
    expect(scores).toBeGreaterThan(0);
  });
});
