import { describe, expect, it } from 'vitest';
import { profileTable } from '../../src/bench/profile/write.ts';
import { type PassProfile, profileModel, summarize } from '../../src/bench/profile/profile.ts';
import { CallRecorder } from '../../src/bench/profile/recorder.ts';
import type { Backend } from '../../src/tensor/backend.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { scope } from '../../src/tensor/scope.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { modelFolder } from '../support/fixtures.ts';
import { runCli, runJson } from '../cli/run-cli.ts';

// Of test/fixtures/models/llama_gqa_tied: 2 layers, width 64, MLP 128, 512 tokens, 4 heads of 16 and 2 for keys and values.
const SOURCE = modelFolder('llama_gqa_tied');
const LAYERS = 2;

/** Calls of an op, with all weights that it reads. */
const callsOf = ({ ops }: PassProfile, op: string): number =>
  ops.filter((one) => one.op === op).reduce((sum, { calls }) => sum + calls, 0);

describe('profile', () => {
  it('counts every call of a token on the reference backend', async () => {
    const { decode, prefill } = await profileModel({ source: SOURCE, backend: 'reference', depth: 4, prefill: 6, repetitions: 2 }); // prettier-ignore
    const products = decode.ops.filter(({ op, weight }) => op === 'matmul' && weight !== '');
    // Queries, keys and values are one product, gate and up another.
    expect(Object.fromEntries(products.map(({ weight, calls }) => [weight, calls]))).toEqual({
      '[128, 64] bf16': LAYERS,
      '[64, 64] bf16': LAYERS,
      '[256, 64] bf16': LAYERS,
      '[64, 128] bf16': LAYERS,
      '[512, 64] bf16': 1,
    });
    expect(decode.ops.find(({ op, weight }) => op === 'matmul' && weight === '')?.calls, 'scores, mixing').toBe(2 * LAYERS); // prettier-ignore
    expect(callsOf(decode, 'softmax')).toBe(LAYERS);
    expect(callsOf(decode, 'mean'), 'norms').toBe(2 * LAYERS + 1);
    expect(callsOf(decode, 'sigmoid')).toBe(LAYERS);
    expect(callsOf(decode, 'writeVariable'), 'keys, values').toBe(2 * LAYERS);
    expect(callsOf(decode, 'download'), 'logits').toBe(1);
    expect({ tokens: decode.tokens, depth: decode.depth }).toEqual({ tokens: 1, depth: 4 });
    expect({ tokens: prefill?.tokens, depth: prefill?.depth }).toEqual({ tokens: 6, depth: 0 });
    expect(callsOf(prefill!, 'softmax')).toBe(LAYERS);
  });

  it('accounts for all of a pass: by op and what is between, and by layer', async () => {
    const { decode } = await profileModel({ source: SOURCE, backend: 'reference', depth: 4, repetitions: 3 });
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    const { recordedSeconds, unaccounted, ops, layers, calls } = decode;
    expect(sum(ops.map(({ seconds }) => seconds)) + unaccounted).toBeCloseTo(recordedSeconds, 9);
    expect(sum(layers.map(({ seconds, between }) => seconds + between))).toBeCloseTo(recordedSeconds, 9);
    expect(sum(ops.map((op) => op.calls))).toBeCloseTo(calls, 6);
    expect(sum(layers.map((layer) => layer.calls))).toBeCloseTo(calls, 6);
    expect(sum(ops.map(({ bytes }) => bytes))).toBeCloseTo(sum(layers.map(({ bytes }) => bytes)), 3);
    expect(layers.map(({ layer }) => layer)).toEqual(['embedding', '0', '1', 'head', 'sampling']);
  });

  it('counts the bytes of weights, of which a token reads each once', async () => {
    const { decode, weightBytes } = await profileModel({
      source: SOURCE,
      backend: 'reference',
      depth: 4,
      repetitions: 1,
    });
    const matrices = decode.ops.filter(({ op, weight }) => op === 'matmul' && weight !== '');
    const rows = LAYERS * (128 + 64 + 256) + 512;
    const activations = 2 * (LAYERS * (64 + 64 + 64 + 128) + 64); // bf16
    const weights = 2 * (rows * 64 + LAYERS * 64 * 128);
    expect(matrices.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(weights + activations);
    expect(weightBytes - weights, 'gains in f32').toBe(4 * 64 * (2 * LAYERS + 1));
  });

  it('names the kernels that ran, and shows fused ops as one call', async () => {
    const { decode } = await profileModel({ source: SOURCE, backend: 'tensorflow', depth: 4, repetitions: 2 });
    expect(callsOf(decode, 'linear')).toBe(4 * LAYERS + 1);
    expect(callsOf(decode, 'rmsNorm')).toBe(2 * LAYERS + 1);
    const linear = decode.ops.filter(({ op }) => op === 'linear');
    for (const { kernels } of linear) expect(kernels.join()).toMatch(/^WebAssembly \w+$/);
  });

  it('gives back what the backend gives, listening or not', async () => {
    const backend = new ReferenceBackend();
    const recorder = new CallRecorder(backend);
    const multiply = (on: Backend): number[] =>
      scope('blocks.7', () => [...Tensor.from(on, [1, 2, 3, 4], [2, 2]).matmul(Tensor.from(on, [5, 6, 7, 8], [2, 2])).data()]); // prettier-ignore
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

  it('averages the quieter half of the passes', () => {
    const call = { op: 'add', weight: '', path: 'blocks.0', kernels: [], bytes: 8 };
    const pass = (length: number) => ({ start: 0, end: length, calls: [{ ...call, start: 1, end: length - 1 }] });
    const { recordedSeconds, ops, unaccounted } = summarize([pass(1000), pass(10), pass(12), pass(500)]);
    expect(recordedSeconds).toBeCloseTo(0.011, 9);
    expect(ops).toMatchObject([{ op: 'add', calls: 1, bytes: 8 }]);
    expect(unaccounted).toBeCloseTo(0.002, 9);
  });

  it('prints tables, or JSON', async () => {
    const args = ['bench', 'profile', SOURCE, '--backend', 'reference', '--depth', '4', '--prefill', '5', '-r', '1'];
    const { code, stdout } = await runCli(args);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /a token behind 4: [\d.]+ ms; recorded [\d.]+ ms with \d+ calls, of which [\d.]+% is not in ops/,
    );
    expect(stdout).toContain('a prompt of 5: ');
    expect(stdout).toMatch(/ {2}matmul +\[256, 64\] bf16 +2 +[\d.]+ +[\d.]+% +0\.07/);
    expect(stdout).toMatch(/not in ops +[\d.]+ +[\d.]+%/);
    const profile = (await runJson([...args, '--json'])) as Parameters<typeof profileTable>[0];
    expect(profile).toMatchObject({ format: 'vitrine-bench-profile', model: SOURCE, decode: { tokens: 1, depth: 4 } });
    expect(profileTable(profile)).toContain('layer');
  });

  it('refuses a prompt that does not go in one pass', async () => {
    const { code, stderr } = await runCli(['bench', 'profile', SOURCE, '--prefill', '513']);
    expect(code).toBe(1);
    expect(stderr).toContain('expected a prompt of 1 to 512 tokens, which go in one pass, got 513');
  });
});
