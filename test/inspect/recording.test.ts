import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createBackend,
  firstDivergence,
  liveTensors,
  load,
  loadRecording,
  type Model,
  openSafetensors,
  record,
  saveRecording,
  writeSafetensors,
} from '../../src/index.ts';
import { modelFolder } from '../support/fixtures.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-recording-'));
const backend = createBackend('reference');
const PROMPT = [5, 17, 99, 3];
let model: Model;
beforeAll(async () => {
  model = await load(modelFolder('llama_gqa_tied'), { backend: 'reference' });
});
afterAll(() => {
  model.dispose();
  rmSync(folder, { recursive: true });
});

describe('a recording', () => {
  it('has each hook of a glob by itself, in the order of the pass', () => {
    using recording = record(model, PROMPT, { capture: ['blocks.*.hook_resid_post', 'hook_embed'] });
    expect(Object.keys(recording.acts)).toEqual(['hook_embed', 'blocks.0.hook_resid_post', 'blocks.1.hook_resid_post']);
    expect(recording).toMatchObject({ model: model.files.source, tokens: PROMPT, precision: 'f32' });
    expect(recording.hooks.get('hook_embed')).toEqual({ axes: 'p d', isMeasure: false });
  });

  it('has by default what the pass computes by itself, as edits left it, and frees it', () => {
    const before = liveTensors();
    const zero = new Float32Array(PROMPT.length * 64);
    const recording = record(model, PROMPT, { edit: { 'blocks.0.hook_mlp_out': () => zero } });
    const all = model.hooks.filter((name) => !model.hookPoints.get(name)!.derived);
    expect(Object.keys(recording.acts)).toEqual(all);
    expect(recording.acts['blocks.0.hook_mlp_out'].data()).toEqual(zero);
    recording.dispose();
    expect(liveTensors()).toBe(before);
  });

  it('can be a part of a pass', () => {
    using recording = record(model, PROMPT, {
      capture: ['blocks.0.hook_resid_post'],
      until: 'blocks.0.hook_resid_post',
    });
    expect(recording.acts['blocks.0.hook_resid_post'].shape).toEqual([4, 64]);
  });
});

describe('a file of a recording', () => {
  const path = join(folder, 'trace.safetensors');

  it('has the activations under their names, as F32 and I32, and says of what', async () => {
    using recording = record(model, PROMPT);
    await saveRecording(path, recording, { metadata: { note: 'a test' } });
    const file = await openSafetensors(path);
    expect(file.tensors.get('hook_tokens')).toMatchObject({ dtype: 'I32', shape: [4] });
    expect(file.tensors.get('blocks.1.attn.hook_pattern')).toMatchObject({ dtype: 'F32', shape: [4, 4, 4] });
    expect((await file.read('blocks.1.hook_resid_post')).data).toEqual(
      recording.acts['blocks.1.hook_resid_post'].data(),
    );
    expect(Object.fromEntries(file.metadata)).toMatchObject({
      note: 'a test',
      model: model.files.source,
      tokens: '[5,17,99,3]',
      precision: 'f32',
      vitrine: '0.1.0',
    });
    await file.close();
  });

  it('is read back with order, axes and numbers', async () => {
    using recording = record(model, PROMPT);
    await saveRecording(path, recording);
    using again = await loadRecording(path, { backend });
    expect(again.hooks).toEqual(recording.hooks);
    expect([...again.hooks.keys()]).toEqual(Object.keys(recording.acts));
    for (const [name, tensor] of Object.entries(recording.acts))
      expect([again.acts[name].dtype, again.acts[name].integers()], name).toEqual([tensor.dtype, tensor.integers()]);
    expect(again).toMatchObject({ model: model.files.source, tokens: PROMPT, precision: 'f32' });
  });

  it('is read in part, by names and globs', async () => {
    using recording = record(model, PROMPT);
    await saveRecording(path, recording);
    using part = await loadRecording(path, { names: ['blocks.*.hook_resid_pre'], backend });
    expect(Object.keys(part.acts)).toEqual(['blocks.0.hook_resid_pre', 'blocks.1.hook_resid_pre']);
    await expect(loadRecording(path, { names: ['blocks.7.hook_resid_pre'], backend })).rejects.toThrow('no hook');
  });

  it('can be one of the captures of a run', async () => {
    using run = model.run(PROMPT, { capture: ['blocks.*.hook_resid_post'] });
    await saveRecording(path, run);
    using again = await loadRecording(path, { backend });
    expect(again.acts['blocks.*.hook_resid_post'].data()).toEqual(run.acts['blocks.*.hook_resid_post'].data());
  });

  it('of any other program is taken as it is, halves widened', async () => {
    await writeSafetensors(path, {
      hook_embed: { dtype: 'BF16', shape: [1, 2], data: Uint16Array.of(0x3f80, 0xc000) },
      hook_tokens: { dtype: 'I64', shape: [1], data: BigInt64Array.of(7n) },
    });
    using loaded = await loadRecording(path, { backend });
    expect(loaded.acts.hook_embed.data()).toEqual(Float32Array.of(1, -2));
    expect(loaded.acts.hook_tokens.integers()).toEqual(Int32Array.of(7));
    expect(loaded).toMatchObject({ model: path, tokens: [], precision: 'f32' });
  });

  it.each([
    ['tokens', '[1, "x"]', 'a JSON list of token ids'],
    ['tokens', '{', 'JSON: '],
    ['precision', 'f8', 'f64, f32, f16, bf16'],
    ['hooks', '[["hook_embed"]]', 'a JSON list of pairs'],
    ['hooks', '[["hook_other", "p d"]]', 'names of tensors in the file, got hook_other'],
    ['hooks', '[["hook_embed", "p"]]', 'an axis for each of the 2 of hook_embed, got "p"'],
  ])('whose metadata "%s" is %s is refused', async (key, value, words) => {
    const data = new Float32Array(2);
    await writeSafetensors(path, { hook_embed: { dtype: 'F32', shape: [1, 2], data } }, { [key]: value });
    const before = liveTensors();
    await expect(loadRecording(path, { backend })).rejects.toThrow(`the metadata "${key}" must be ${words}`);
    expect(liveTensors()).toBe(before);
  });
});

describe('a dump of scripts/dump-transformers.py', () => {
  const dump = join(import.meta.dirname, '../fixtures/expected/llama_gqa_tied/dump.safetensors');

  it('agrees with the pass at every hook within rounding', async () => {
    using recording = await loadRecording(dump, { backend });
    const found = firstDivergence(model, recording);
    expect(found).toMatchObject({ verdict: 'rounding', tokens: PROMPT });
    expect(found.onlyIn.b).toEqual([]);
    const compared = found.hooks.map(({ hook }) => hook);
    for (const hook of ['hook_q', 'hook_k', 'hook_v', 'hook_rot_q', 'hook_rot_k', 'hook_pattern', 'hook_z', 'hook_out'])
      expect(compared).toContain(`blocks.1.attn.${hook}`);
  });

  it('shows a wrong activation to be that of the model', async () => {
    using recording = await loadRecording(dump, { backend });
    const edit = { 'blocks.0.mlp.hook_post': (value: { data(): Float32Array }) => value.data().map((x) => x * 1.001) };
    const found = firstDivergence({ model, edit }, recording);
    expect(found).toMatchObject({ verdict: 'bug', first: { hook: 'blocks.0.mlp.hook_post' } });
  });
});
