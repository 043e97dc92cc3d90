// What the compiler knows of hooks: `tsc` checks this file, and fails where a line under `@ts-expect-error` compiles.
import { beforeAll, describe, expect, it } from 'vitest';
import { type Activations, Captured, type Edit, load, type Model, type Run, type Tensor } from '../../src/index.ts';
import { expectNothingLeft } from '../support/tested-backends.ts';
import { modelFolder } from '../support/fixtures.ts';

const TOKENS = [5, 42, 79];
const OPTIONS = { temperature: 0, repetitionPenalty: 1, ignoreEos: true, maxTokens: 1 };

/** The type of the value, as a literal that has to be given. */
const axesOf = <Axes extends string>({ axes }: Captured<Axes>, wanted: Axes): void => {
  expect(axes).toBe(wanted);
};

describe('the compiler', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('deepseek_v3'), { backend: 'reference', weights: 'f32' });
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    it('knows the keys and axes of captures by their names, and so does the program', () => {
      using run = model.run(TOKENS, {
        capture: [
          'hook_embed',
          'blocks.0.attn.hook_pattern',
          'blocks.*.hook_resid_post',
          'blocks.1.mlp.experts.1.hook_out',
        ],
      });
      const { acts } = run;
      axesOf(acts.hook_embed, 'p d');
      axesOf(acts['blocks.0.attn.hook_pattern'], 'h p t');
      axesOf(acts['blocks.*.hook_resid_post'], 'layer p d');
      axesOf(acts['blocks.1.mlp.experts.1.hook_out'], 'n d');
      // @ts-expect-error: of one block there is no layer axis
      const wrong: 'layer h p t' = acts['blocks.0.attn.hook_pattern'].axes;
      expect(wrong).toBe('h p t');
      expect(acts.hook_embed).toBeInstanceOf(Captured);
      expect(acts.layers('blocks.*.hook_resid_post')).toEqual([0, 1]);
      expect(Object.keys(acts)).not.toContain('layers');
      // @ts-expect-error: it was not captured
      expect(acts['blocks.1.attn.hook_pattern']).toBeUndefined();
      // @ts-expect-error: it was not captured
      expect(() => acts.layers('blocks.1.attn.hook_pattern')).toThrow(
        'layers: "blocks.1.attn.hook_pattern" was not captured. Nearest: blocks.0.attn.hook_pattern, ',
      );
    });

    it('refuses a name that no model has, in captures, edits and where a pass stops', () => {
      const edit: Edit = (value) => value;
      // @ts-expect-error: pattern is misspelt
      expect(() => model.run(TOKENS, { capture: ['blocks.0.attn.hook_patern'] })).toThrow(/no hook/);
      // @ts-expect-error: it is misspelt, beside one that is right
      expect(() => model.run(TOKENS, { capture: ['hook_embed', 'hook_embd'] })).toThrow(/no hook/);
      // @ts-expect-error: a glob over layers has one name behind it
      expect(() => model.run(TOKENS, { capture: ['blocks.*.attn.hook_patern'] })).toThrow(/no hook/);
      // @ts-expect-error: only the layer is not known to the compiler
      expect(() => [0].map((layer) => model.run(TOKENS, { capture: [`blocks.${layer}.hook_resid`] }))).toThrow(
        /no hook/,
      );
      // @ts-expect-error: there is no such stop
      expect(() => model.run(TOKENS, { until: 'blocks.0.hook_resid_pots' })).toThrow(/no hook/);
      // @ts-expect-error: edits have the same names
      expect(() => model.run(TOKENS, { edit: { 'blocks.0.attn.hook_zz': edit } })).toThrow(/no hook/);
      // @ts-expect-error: edits have the same globs
      expect(() => model.run(TOKENS, { edit: { 'blocks.*.attn.hook_zz': edit } })).toThrow(/no hook/);
      // @ts-expect-error: so has a batch
      expect(() => model.runBatch([TOKENS], { capture: ['blocks.0.attn.hook_patern'] })).toThrow(/no hook/);
    });

    it('takes names that the program makes when it runs', () => {
      const names: string[] = model.hooks.filter((hook) => hook.endsWith('attn.hook_z'));
      using run = model.run(TOKENS, { capture: names });
      const value: Captured = run.acts['blocks.0.attn.hook_z'];
      const all: Captured[] = Object.values(run.acts);
      expect(all).toContain(value);
      using more = model.run(TOKENS, { capture: [...names, 'hook_embed'] });
      expect(more.acts.hook_embed.axes).toBe('p d');
      const layer = names.length - 1;
      using one = model.run(TOKENS, { capture: [`blocks.${layer}.attn.hook_pattern`] });
      axesOf(one.acts[`blocks.${layer}.attn.hook_pattern`], 'h p t');
      using zeroed = model.run(TOKENS, {
        edit: { [`blocks.${layer}.attn.hook_z`]: (z, at) => (at.pass === 0 ? z.mul(0) : undefined) },
      });
      expect(zeroed.logits.data()).not.toEqual(run.logits.data());
      const edits: Record<string, Edit> = Object.fromEntries(names.map((name) => [name, (z: Tensor) => z]));
      using same = model.run(TOKENS, { edit: edits });
      expect(same.logits.data()).toEqual(run.logits.data());
    });

    it('knows the beginnings of the keys of wider globs', () => {
      using run = model.run(TOKENS, { capture: ['blocks.1.attn.*', 'hook_embed'] });
      const value: Captured = run.acts['blocks.1.attn.hook_pattern'];
      expect(value.axes).toBe('h p t');
      axesOf(run.acts.hook_embed, 'p d');
      // @ts-expect-error: another block
      expect(run.acts['blocks.2.attn.hook_pattern']).toBeUndefined();
      using everything = model.run(TOKENS, { capture: ['**'] });
      const acts: Activations = everything.acts;
      expect(Object.keys(acts).sort()).toEqual([...model.hooks].sort());
      expect(acts.layers('blocks.1.hook_resid_pre')).toEqual([1]);
      expect(acts.layers('hook_embed')).toEqual([]);
    });

    it('gives a run without captures none, and lets every run be called a run', () => {
      using run = model.run(TOKENS);
      // @ts-expect-error: nothing was captured
      expect(run.acts.hook_embed).toBeUndefined();
      using captured = model.run(TOKENS, { capture: ['hook_embed'] });
      const runs: Run[] = [run, captured];
      expect(runs[0].logits.data()).toEqual(runs[1].logits.data());
    });

    it('knows the captures of batches and of generated tokens', async () => {
      const runs = model.runBatch([TOKENS, [1, 2]], { capture: ['blocks.0.hook_resid_pre'] });
      axesOf(runs[1].acts['blocks.0.hook_resid_pre'], 'p d');
      for (const run of runs) run.dispose();
      for await (const { acts } of model.generate(TOKENS, {
        ...OPTIONS,
        capture: ['blocks.*.attn.hook_z', 'sampler.hook_probs'],
      })) {
        axesOf(acts['blocks.*.attn.hook_z'], 'layer p h e_v');
        axesOf(acts['sampler.hook_probs'], '1 V');
        // @ts-expect-error: it was not captured
        expect(acts.hook_embed).toBeUndefined();
      }
      // @ts-expect-error: it is misspelt
      await expect(model.generate(TOKENS, { ...OPTIONS, capture: ['hook_embd'] }).next()).rejects.toThrow(/no hook/);
    });

    it('leaves out what a name cannot tell: layers of a mixture are not those of the model', () => {
      using run = model.run(TOKENS, { capture: ['blocks.*.mlp.router.hook_logits'] });
      const { acts } = run;
      const { count, layers } = model.config.experts!;
      const mixtures = layers.flatMap((is, layer) => (is ? [layer] : []));
      expect(layers[0]).toBe(false);
      expect(acts['blocks.*.mlp.router.hook_logits'].shape).toEqual([mixtures.length, TOKENS.length, count]);
      expect(acts.layers('blocks.*.mlp.router.hook_logits')).toEqual(mixtures);
    });
  });
});
