import { beforeAll, describe, expect, it } from 'vitest';
import { load, type Model } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';

const TOKENS = Array.from({ length: 12 }, (_, i) => (i * 37 + 5) % 500);
const largest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
const isBf16 = (x: number): boolean => (new Uint32Array(Float32Array.of(x).buffer)[0] & 0xffff) === 0;

describe('the dtype of products with bf16 weights', () => {
  let model: Model;
  let exact: Float32Array;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { backend: 'tensorflow', weights: 'bf16' });
    using reference = await load(modelFolder('llama_gqa_tied'), { backend: 'reference', weights: 'bf16' });
    using run = reference.run(TOKENS, { compute: 'f32' });
    exact = run.logits.data();
    return () => {
      model.dispose();
    };
  });

  it('is f32 in run and runBatch, whatever the processor multiplies', () => {
    using run = model.run(TOKENS);
    expect(largest(run.logits.data(), exact)).toBeLessThan(1e-4);
    const [batched, other] = model.runBatch([TOKENS, TOKENS.slice(3)]);
    expect(largest(batched.logits.data(), exact)).toBeLessThan(1e-4);
    batched.dispose();
    other.dispose();
  });

  it('is bf16 in a call that asks for it', () => {
    using run = model.run(TOKENS, { compute: 'bf16' });
    const error = largest(run.logits.data(), exact);
    expect(error).toBeGreaterThan(1e-3);
    expect(error).toBeLessThan(0.3);
  });

  it('is that of load where load was asked', async () => {
    using rounding = await load(modelFolder('llama_gqa_tied'), {
      weights: 'bf16',
      compute: 'bf16',
      backend: 'tensorflow',
    });
    using run = rounding.run(TOKENS);
    using asked = model.run(TOKENS, { compute: 'bf16' });
    expect(run.logits.data()).toEqual(asked.logits.data());
  });

  it('never rounds the logits themselves', () => {
    using run = model.run(TOKENS, { compute: 'bf16', capture: ['unembed.hook_out'] });
    expect(run.acts['unembed.hook_out'].data().filter(isBf16).length).toBeLessThan(200);
    using last = model.forward(TOKENS);
    expect(last.data().filter(isBf16).length).toBeLessThan(50);
  });
});
