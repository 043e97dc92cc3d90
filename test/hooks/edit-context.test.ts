import { beforeAll, describe, expect, it } from 'vitest';
import { type Edit, type EditContext, load, type Model } from '../../src/index.ts';
import { expectNothingLeft } from '../support/tested-backends.ts';
import { modelFolder } from '../support/fixtures.ts';

const PROMPT = [5, 42, 79, 116];
const OPTIONS = { temperature: 0, repetitionPenalty: 1, ignoreEos: true };

/** What edits are told, in order, with the number of rows that they are given. */
function listener(): { readonly heard: unknown[]; readonly edit: Edit } {
  const heard: unknown[] = [];
  const edit: Edit = ({ shape }, { name, layer, positions, pass }: EditContext) => {
    heard.push([pass, name, layer, [...positions], shape]);
    return undefined;
  };
  return { heard, edit };
}

describe('an edit is told', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('mistral_sliding'), { backend: 'reference', weights: 'f32' });
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    it('the name, layer and positions of what it is given, also through a glob and after a cache', () => {
      const { dim: D, vocabSize: V, nHeads: H } = model.config;
      using cache = model.newCache();
      model.forward([7, 8], { cache }).dispose();
      const { heard, edit } = listener();
      const hooks = ['hook_tokens', 'blocks.*.hook_attn_in', 'blocks.1.attn.hook_pattern', 'hook_logits'];
      model.run(PROMPT, { cache, edit: Object.fromEntries(hooks.map((hook) => [hook, edit])) }).dispose();
      const positions = [2, 3, 4, 5];
      expect(heard).toEqual([
        [0, 'hook_tokens', undefined, positions, [4]],
        [0, 'blocks.0.hook_attn_in', 0, positions, [4, D]],
        [0, 'blocks.1.hook_attn_in', 1, positions, [4, D]],
        [0, 'blocks.1.attn.hook_pattern', 1, positions, [H, 4, 6]],
        [0, 'hook_logits', undefined, positions, [4, V]],
      ]);
    });

    it('the number of the pass, while tokens are generated: 0 is the prompt', async () => {
      const { dim: D, vocabSize: V } = model.config;
      const { heard, edit } = listener();
      const options = {
        ...OPTIONS,
        maxTokens: 3,
        edit: { 'blocks.1.hook_mlp_out': edit, hook_logits: edit, 'sampler.hook_token': edit },
      };
      for await (const { token } of model.generate(PROMPT, options)) expect(token).toBeGreaterThanOrEqual(0);
      const pass = (index: number, positions: readonly number[]): unknown[] => [
        [index, 'blocks.1.hook_mlp_out', 1, positions, [positions.length, D]],
        [index, 'hook_logits', undefined, positions.slice(-1), [1, V]],
        [index, 'sampler.hook_token', undefined, positions.slice(-1), [1]],
      ];
      expect(heard).toEqual([...pass(0, [0, 1, 2, 3]), ...pass(1, [4]), ...pass(2, [5])]);
    });

    it('the same once more where a text is run again to explain logits that are not finite', async () => {
      const heard: number[] = [];
      const breaking: Edit = (value, { pass }) => {
        heard.push(pass);
        return pass === 2 ? value.mul(NaN) : undefined;
      };
      const text = model.generate(PROMPT, { ...OPTIONS, maxTokens: 5, edit: { 'blocks.0.hook_attn_out': breaking } });
      const attempt = async (): Promise<void> => {
        for await (const { token } of text) expect(token).toBeGreaterThanOrEqual(0);
      };
      await expect(attempt()).rejects.toThrow(/blocks\.0\.hook_attn_out \(NaN .* put there by its edit/);
      expect(heard).toEqual([0, 1, 2, 0, 1, 2]);
    });
  });
});
