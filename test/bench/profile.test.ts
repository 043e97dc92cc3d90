import { beforeAll, describe, expect, it } from 'vitest';
import { profileTable } from '../../src/bench/profile/profile-table.ts';
import { type PassProfile, summarize } from '../../src/bench/profile/pass-profile.ts';
import { type Profile, profileModel } from '../../src/bench/profile/profile-model.ts';
import { CallRecorder } from '../../src/bench/profile/call-recorder.ts';
import type { Backend } from '../../src/tensor/backend.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { scope } from '../../src/tensor/scope.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { modelFolder } from '../support/fixtures.ts';
import { runCli, runJson } from '../cli/run-cli.ts';

// Two layers, model width 64, MLP width 128, vocabulary 512, four heads of 16, two heads of keys and values.
const SOURCE = modelFolder('llama_gqa_tied');
const LAYERS = 2;

/** The calls of an op, summed over the weights that it reads. */
const callsOf = ({ ops }: PassProfile, op: string): number =>
  ops.filter((one) => one.op === op).reduce((sum, { calls }) => sum + calls, 0);

describe('a profile on the reference backend', () => {
  let profile: Profile;
  beforeAll(async () => {
    profile = await profileModel({ source: SOURCE, backend: 'reference', depth: 4, prefill: 6, repetitions: 3 });
  });
  const productsWithWeights = ({ ops }: PassProfile) =>
    ops.filter(({ op, weight }) => op === 'matmul' && weight !== '');

  it('counts every call of a pass', () => {
    const { decode, prefill } = profile;
    // Queries, keys and values are one product, gate and up another.
    expect(Object.fromEntries(productsWithWeights(decode).map(({ weight, calls }) => [weight, calls]))).toEqual({
      '[128, 64] bf16': LAYERS,
      '[64, 64] bf16': LAYERS,
      '[256, 64] bf16': LAYERS,
      '[64, 128] bf16': LAYERS,
      '[512, 64] f32': 1, // The head is widened: logits are not rounded.
    });
    const cached = decode.ops.find(({ op, weight }) => op === 'matmul' && weight === '');
    expect(cached?.calls, 'scores, mixing').toBe(2 * LAYERS);
    expect(callsOf(decode, 'softmax')).toBe(LAYERS);
    expect(callsOf(decode, 'mean'), 'norms').toBe(2 * LAYERS + 1);
    expect(callsOf(decode, 'sigmoid')).toBe(LAYERS);
    expect(callsOf(decode, 'writeVariable'), 'keys, values').toBe(2 * LAYERS);
    expect(callsOf(decode, 'download'), 'logits').toBe(1);
    expect({ tokens: decode.tokens, depth: decode.depth }).toEqual({ tokens: 1, depth: 4 });
    expect({ tokens: prefill?.tokens, depth: prefill?.depth }).toEqual({ tokens: 6, depth: 0 });
    expect(callsOf(prefill!, 'softmax')).toBe(LAYERS);
  });

  it('accounts for all time, calls and bytes of a pass, by op and by layer', () => {
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    const { recordedSeconds, unaccounted, ops, layers, calls } = profile.decode;
    expect(sum(ops.map(({ seconds }) => seconds)) + unaccounted).toBeCloseTo(recordedSeconds, 9);
    expect(sum(layers.map(({ seconds, between }) => seconds + between))).toBeCloseTo(recordedSeconds, 9);
    expect(sum(ops.map((op) => op.calls))).toBeCloseTo(calls, 6);
    expect(sum(layers.map((layer) => layer.calls))).toBeCloseTo(calls, 6);
    expect(sum(ops.map(({ bytes }) => bytes))).toBeCloseTo(sum(layers.map(({ bytes }) => bytes)), 3);
    expect(layers.map(({ layer }) => layer)).toEqual(['embedding', '0', '1', 'head', 'sampling']);
  });

  it('counts the bytes of each weight once per token', () => {
    const { decode, weightBytes } = profile;
    const rows = LAYERS * (128 + 64 + 256) + 512;
    const activations = 2 * LAYERS * (64 + 64 + 64 + 128) + 4 * 64; // bf16, before the head f32
    const weights = 2 * (rows * 64 + LAYERS * 64 * 128);
    const widened = 2 * 512 * 64; // The head is multiplied in f32.
    const read = productsWithWeights(decode).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(read).toBeCloseTo(weights + widened + activations, 3);
    expect(weightBytes - weights, 'gains in f32').toBe(4 * 64 * (2 * LAYERS + 1));
  });

  it('is printed as tables by op and by layer', () => {
    const text = profileTable(profile);
    expect(text).toMatch(
      /a token behind 4: [\d.]+ ms; recorded [\d.]+ ms with \d+ calls, of which [\d.]+% is not in ops/,
    );
    expect(text).toContain('a prompt of 6: ');
    expect(text).toMatch(/ {2}matmul +\[256, 64\] bf16 +2 +[\d.]+ +[\d.]+% +0\.07/);
    expect(text).toMatch(/not in ops +[\d.]+ +[\d.]+%/);
    expect(text).toContain('layer');
  });
});

describe('a profile', () => {
  it('names the kernels that ran, and counts a fused op as one call', async () => {
    const { decode } = await profileModel({ source: SOURCE, backend: 'tensorflow', depth: 4, repetitions: 1 });
    expect(callsOf(decode, 'linear')).toBe(4 * LAYERS + 1);
    expect(callsOf(decode, 'rmsNorm')).toBe(2 * LAYERS + 1);
    const linear = decode.ops.filter(({ op }) => op === 'linear');
    for (const { kernels } of linear) expect(kernels.join()).toMatch(/^WebAssembly \w+$/);
  });

  it('does not change the results of the recorded backend, nor leave handles', async () => {
    const backend = new ReferenceBackend();
    const recorder = new CallRecorder(backend);
    const multiply = (on: Backend): number[] =>
      scope('blocks.7', () => {
        const [a, b] = [
          [1, 2, 3, 4],
          [5, 6, 7, 8],
        ].map((values) => Tensor.from(on, values, [2, 2]));
        return [...a.matmul(b).data()];
      });
    const products: number[][] = [multiply(backend), multiply(recorder.backend)];
    const calls = await recorder.record(() => {
      products.push(multiply(recorder.backend));
      return Promise.resolve();
    });
    expect(products).toEqual([0, 1, 2].map(() => [19, 22, 43, 50]));
    expect(calls.map(({ op, weight, path, bytes }) => ({ op, weight, path, bytes }))).toMatchObject([
      { op: 'upload', bytes: 16 },
      { op: 'upload', bytes: 16 },
      { op: 'matmul', weight: '[2, 2] f32', path: 'blocks.7', bytes: 32 },
      { op: 'download', bytes: 16 },
      { op: 'free', bytes: 0 },
      { op: 'free' },
      { op: 'free' },
    ]);
    expect(backend.liveHandles()).toBe(0);
  });

  it('is the mean over the faster half of the passes', () => {
    const call = { op: 'add', weight: '', path: 'blocks.0', kernels: [], bytes: 8 };
    const pass = (length: number) => ({ start: 0, end: length, calls: [{ ...call, start: 1, end: length - 1 }] });
    const { recordedSeconds, ops, unaccounted } = summarize([pass(1000), pass(10), pass(12), pass(500)]);
    expect(recordedSeconds).toBeCloseTo(0.011, 9);
    expect(ops).toMatchObject([{ op: 'add', calls: 1, bytes: 8 }]);
    expect(unaccounted).toBeCloseTo(0.002, 9);
  });
});

describe('vitrine bench profile', () => {
  it('prints tables, or JSON', async () => {
    const args = ['bench', 'profile', SOURCE, '--backend', 'reference', '--depth', '4', '--prefill', '5', '-r', '1'];
    const { code, stdout } = await runCli(args);
    expect(code).toBe(0);
    expect(stdout).toMatch(/a token behind 4: .*\n[^]*a prompt of 5: /);
    const profile = (await runJson([...args, '--json'])) as Profile;
    expect(profile).toMatchObject({ format: 'vitrine-bench-profile', model: SOURCE, decode: { tokens: 1, depth: 4 } });
  });

  it('refuses a prompt that does not go through the model in one pass', async () => {
    const { code, stderr } = await runCli(['bench', 'profile', SOURCE, '--prefill', '513']);
    expect(code).toBe(1);
    expect(stderr).toContain('expected a prompt of 1 to 512 tokens, which go in one pass, got 513');
  });
});
