import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { load, type Model } from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';

describe('on the console', () => {
  let model: Model;
  let mixture: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference' });
    mixture = await load(modelFolder('gpt_oss'), { backend: 'reference' });
  });
  afterAll(() => {
    model.dispose();
    mixture.dispose();
  });

  it('a model is its source, its memory and its sizes', () => {
    expect(inspect(model).split('\n')).toEqual([
      `Model ${model.files.source}`,
      expect.stringMatching(/^ {2}\d+ kB of weights on reference, texts of up to \d+ tokens$/),
      '  DecoderConfig llama',
      expect.stringMatching(/^ {4}\d+ layers of width 64, vocabulary 512, \d+ positions$/),
      expect.stringMatching(/^ {4}attention: \d+ heads of \d+, \d+ for keys and values$/),
      expect.stringMatching(/^ {4}MLP: width \d+, silu, gated$/),
      '    head tied to the embedding',
    ]);
  });

  it('a config says what is unusual about it, and a copy shows every field', () => {
    const lines = inspect(mixture.config);
    expect(lines).toMatch(/^DecoderConfig gpt_oss\n/);
    expect(lines).toMatch(/\d+ layers with \d+ experts of width \d+, \d+ per token\n/);
    expect(lines).toMatch(/\n {2}\d+ layers see \d+ tokens\n/);
    expect(lines).toMatch(/\n {2}attention sinks$/m);
    expect(inspect({ ...mixture.config })).toMatch(/modelType: 'gpt_oss'/);
    expect(Object.keys(mixture.config)).toContain('windows');
  });

  it('a cache is one line', () => {
    using cache = mixture.newCache();
    mixture.forward([1, 2, 3], { cache }).dispose();
    expect(inspect(cache)).toMatch(/^KvCache 3 of at most \d+ tokens, \d+ layers, \d+ with a sliding window, \d+ kB$/);
    cache.dispose();
    expect(inspect(cache)).toMatch(/, freed$/);
  });

  it('a run is a line for its logits and for each capture', () => {
    using run = model.run([1, 2], { capture: ['hook_embed', 'blocks.*.hook_resid_post'] });
    expect(inspect(run).split('\n')).toEqual([
      'Run',
      expect.stringMatching(/^ {2}logits: Tensor f32 \[2, 512\] min /),
      expect.stringMatching(/^ {2}hook_embed: Tensor f32 \[2, 64\] min /),
      expect.stringMatching(/^ {2}blocks\.\*\.hook_resid_post: Tensor f32 \[\d+, 2, 64\] min /),
    ]);
    using stopped = model.run([1, 2], { capture: ['hook_embed'], until: 'hook_embed' });
    expect(inspect(stopped)).toMatch(/^Run\n {2}no logits: stopped at hook_embed\n {2}hook_embed: Tensor /);
  });
});
