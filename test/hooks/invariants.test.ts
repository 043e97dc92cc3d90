import { beforeAll, describe, expect, it } from 'vitest';
import { type Edit, InvariantError, load, type Model, type RunOptions } from '../../src/index.ts';
import { CACHE_KINDS, MODEL_FORMS, modelFolder } from '../support/fixtures.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';

const TOKENS = Array.from({ length: 12 }, (_, i) => (i * 37 + 5) % 500);

/** The formula of the invariant that a run finds violated; undefined where all hold. */
function violated(model: Model, options: RunOptions = {}): string | undefined {
  try {
    model.run(TOKENS, { ...options, checkInvariants: true }).dispose();
    return undefined;
  } catch (error) {
    if (error instanceof InvariantError) return error.formula;
    throw error;
  }
}

describe.each(TESTED_BACKENDS)('the invariants on %s', (backend) => {
  describe.each(MODEL_FORMS)('of %s, %s', (name, mla) => {
    let model: Model;
    beforeAll(async () => {
      model = await load(modelFolder(name), { backend, mla });
      return () => {
        model.dispose();
      };
    });

    describe('with a model', () => {
      expectNothingLeft(() => model.backend);

      it('hold in a run, also after a cache, and of some rows', () => {
        model.run(TOKENS, { checkInvariants: true }).dispose();
        if (!CACHE_KINDS.includes(name)) return;
        using cache = model.newCache();
        for (const part of [TOKENS.slice(0, 7), TOKENS.slice(7, 8), TOKENS.slice(8)])
          model.run(part, { cache, checkInvariants: true, rows: [0, -1] }).dispose();
      });

      it('read hooks that the model has', () => {
        for (const { hooks, formula } of model.invariants)
          for (const hook of hooks) expect(model.hookPoints.has(hook), `${hook} of ${formula}`).toBe(true);
      });

      // The formulas are those of the parts, whatever computes them.
      const onlyOnce = backend === 'reference' ? it : undefined;
      onlyOnce?.('are each violated by an edit of the left side', () => {
        const layer = model.config.nLayers - 1;
        const checked = model.invariants.filter((one) => one.layer === undefined || one.layer === layer);
        const chosen = model.run(TOKENS, { capture: ['**'] });
        const spoke = new Set<string>();
        const silent = new Set<string>();
        for (const { hooks, formula } of checked) {
          const [hook] = hooks;
          if (chosen.acts[hook].shape.includes(0)) silent.add(formula); // An expert that no row chose.
          // The first also breaks what is 0 where keys are hidden, the second does not.
          const edits: Edit[] = [
            (x) => x.data().map((number) => number + 1),
            (x) => x.data().map((number) => number * 0.5),
          ];
          const ids: Edit = (x) => x.data().map((id) => (id === 0 ? 1 : id - 1));
          for (const edit of hook.endsWith('indices')
            ? [ids]
            : hook.endsWith('expert_weights')
              ? edits.slice(1)
              : edits) {
            const found = violated(model, { edit: { [hook]: edit } });
            if (found !== undefined) spoke.add(found);
          }
        }
        chosen.dispose();
        const formulas = checked.map(({ formula }) => formula).filter((formula) => !silent.has(formula));
        expect([...spoke].sort()).toEqual([...new Set(formulas)].sort());
      });
    });
  });
});

it.each(['llama_gqa_tied', 'gpt_oss_mxfp4', 'deepseek_v3_fp8'])(
  'invariants of %s hold where operands are rounded to bf16',
  async (name) => {
    using model = await load(modelFolder(name), { backend: TESTED_BACKENDS[0] });
    model.run(TOKENS, { compute: 'bf16', checkInvariants: true }).dispose();
  },
);

describe('a violated invariant', () => {
  it('is named with its block, its formula and how much, and nothing is left of the pass', async () => {
    using model = await load(modelFolder('gpt_neox'), { backend: 'reference' });
    const edit: Record<string, Edit> = { 'blocks.1.hook_resid_post': (x) => x.add(1) };
    expect(() => model.run(TOKENS, { edit, checkInvariants: true })).toThrow(
      /^block 1: hook_resid_post = hook_resid_pre \+ hook_attn_out \+ hook_mlp_out does not hold: at \[\d+, \d+\] the left side is [-\d.e]+ and the right side [-\d.e]+, [\d.e+-]+ of the largest number in the row apart \(allowed: 0\)\.$/,
    );
    const caught = ((): unknown => {
      try {
        model.run(TOKENS, { edit, checkInvariants: true }).dispose();
        return undefined;
      } catch (error) {
        return error;
      }
    })();
    expect(caught).toMatchObject({ name: 'InvariantError', hook: 'blocks.1.hook_resid_post', layer: 1 });
  });

  it('is that of the sequence, in a batch', async () => {
    using model = await load(modelFolder('qwen3_moe'), { backend: 'reference' });
    const prompts = [TOKENS, TOKENS.slice(3, 8)];
    for (const run of model.runBatch(prompts, { checkInvariants: true })) run.dispose();
    const broken = prompts.map((prompt, i) => ({
      prompt,
      edit: i === 1 ? { 'blocks.0.hook_resid_mid': ((x) => x.add(1)) satisfies Edit } : undefined,
    }));
    expect(() => model.runBatch(broken, { checkInvariants: true })).toThrow(
      /^block 0: hook_resid_mid = .* does not hold/,
    );
  });
});
