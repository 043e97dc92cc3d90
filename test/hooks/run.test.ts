import { beforeAll, describe, expect, it } from 'vitest';
import { load, type Model, Tensor } from '../../src/index.ts';
import { shapeOf } from '../../src/hooks/axes.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';
import { modelFolder } from '../support/fixtures.ts';

const TOKENS = Array.from({ length: 12 }, (_, i) => (i * 37 + 5) % 500);
const difference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((max, x, i) => Math.max(max, Math.abs(x - b[i])), 0);

describe.each(TESTED_BACKENDS)('run on %s', (backend) => {
  describe.each(['llama_gqa_tied', 'mistral_sliding', 'qwen3'])('%s', (name) => {
    let model: Model;
    beforeAll(async () => {
      model = await load(modelFolder(name), { backend, weights: 'f32' });
      return () => {
        model.dispose();
      };
    });

    describe('with a model', () => {
      expectNothingLeft(() => model.backend);

      it('gives every hook that it lists, in the axes that the table says', () => {
        const { logits, acts, dispose } = model.run(TOKENS, { capture: model.hooks });
        expect(Object.keys(acts).sort()).toEqual([...model.hooks].sort());
        for (const [hook, value] of Object.entries(acts)) {
          const sizes = shapeOf(model.hookPoints.get(hook)!, model.config, { positions: TOKENS.length });
          expect(value.shape, hook).toEqual(sizes.map((size, axis) => size ?? value.shape[axis]));
        }
        expect(acts.hook_logits.data()).toEqual(logits.data());
        dispose();
      });

      it('holds the identities of the residual stream, of norms, of attention and of the MLP', () => {
        const { acts, dispose } = model.run(TOKENS, { capture: model.hooks });
        const value = (hook: string): Float32Array => acts[hook].data();
        const sum = (a: string, b: string): Float32Array => value(a).map((x, i) => x + value(b)[i]);
        const { nHeads: H, dim: D, nLayers } = model.config;
        const T = TOKENS.length;
        for (let layer = 0; layer < nLayers; layer++) {
          const at = (hook: string): string => `blocks.${layer}.${hook}`;
          expect(difference(sum(at('hook_resid_pre'), at('hook_attn_out')), value(at('hook_resid_mid')))).toBeLessThan(
            1e-6,
          );
          expect(difference(sum(at('hook_resid_mid'), at('hook_mlp_out')), value(at('hook_resid_post')))).toBeLessThan(
            1e-6,
          );
          const before = layer === 0 ? 'hook_embed' : `blocks.${layer - 1}.hook_resid_post`;
          expect(value(at('hook_resid_pre'))).toEqual(value(before));
          const result = value(at('attn.hook_result')); // [T, H, D]
          const summed = value(at('attn.hook_out')).map((_, i) => {
            let total = 0;
            for (let head = 0; head < H; head++) total += result[(Math.floor(i / D) * H + head) * D + (i % D)];
            return total;
          });
          expect(difference(summed, value(at('attn.hook_out')))).toBeLessThan(1e-5);
          const pattern = value(at('attn.hook_pattern')); // [H, T, T]
          const entropy = value(at('attn.hook_entropy')); // [H, T]
          for (let row = 0; row < H * T; row++) {
            const probabilities = pattern.subarray(row * T, (row + 1) * T);
            expect(probabilities.reduce((total, p) => total + p, 0)).toBeCloseTo(1, 5);
            expect(probabilities.subarray((row % T) + 1).every((p) => p === 0)).toBe(true);
            expect(entropy[row]).toBeCloseTo(
              -probabilities.reduce((total, p) => total + (p > 0 ? p * Math.log(p) : 0), 0),
              4,
            );
          }
          const gate = value(at('mlp.hook_pre'));
          const post = value(at('mlp.hook_pre_linear')).map((up, i) => (gate[i] / (1 + Math.exp(-gate[i]))) * up);
          expect(difference(post, value(at('mlp.hook_post')))).toBeLessThan(1e-5);
          expect(difference(value(at('kv.hook_k')), value(at('kv.hook_write_k')))).toBe(0);
        }
        dispose();
      });

      it('stacks the layers of a glob, and names each hook of a wider one', () => {
        const { acts, dispose } = model.run(TOKENS, { capture: ['blocks.*.hook_resid_post', 'blocks.1.ln1.*'] });
        expect(Object.keys(acts)).toEqual([
          'blocks.*.hook_resid_post',
          'blocks.1.ln1.hook_scale',
          'blocks.1.ln1.hook_normalized',
        ]);
        expect(acts['blocks.*.hook_resid_post'].shape).toEqual([model.config.nLayers, TOKENS.length, model.config.dim]);
        dispose();
      });

      it('computes the same bits watched and unwatched, and after an edit that changes nothing', () => {
        const plain = model.run(TOKENS);
        const watched = model.run(TOKENS, { capture: model.hooks });
        const same = model.run(TOKENS, { edit: { 'blocks.*.hook_resid_post': (x) => x.clone() } });
        expect(watched.logits.data()).toEqual(plain.logits.data());
        expect(same.logits.data()).toEqual(plain.logits.data());
        for (const run of [plain, watched, same]) run.dispose();
      });

      it('goes on with what an edit gives back, as a tensor or as numbers', () => {
        const plain = model.run(TOKENS);
        const silenced = model.run(TOKENS, {
          capture: ['blocks.1.hook_resid_mid', 'blocks.1.hook_resid_pre'],
          edit: { 'blocks.1.hook_attn_out': (x) => x.mul(0) },
        });
        expect(silenced.acts['blocks.1.hook_resid_mid'].data()).toEqual(
          silenced.acts['blocks.1.hook_resid_pre'].data(),
        );
        expect(difference(silenced.logits.data(), plain.logits.data())).toBeGreaterThan(1e-3);
        const numbers = model.run(TOKENS, {
          edit: { 'blocks.1.hook_attn_out': (x) => new Float32Array(x.data().length) },
        });
        expect(numbers.logits.data()).toEqual(silenced.logits.data());
        for (const run of [plain, silenced, numbers]) run.dispose();
      });

      it('gives a hook that was asked for twice once, and leaves nothing where layers do not stack', async () => {
        const { acts, dispose } = model.run(TOKENS, {
          capture: ['hook_embed', 'blocks.0.ln1.*', 'hook_embed', 'blocks.0.ln1.hook_scale'],
        });
        expect(Object.keys(acts)).toEqual(['hook_embed', 'blocks.0.ln1.hook_scale', 'blocks.0.ln1.hook_normalized']);
        dispose();
        using mixture = await load(modelFolder('qwen3_moe'), { backend, weights: 'f32' });
        const ragged = ['hook_embed', 'blocks.*.mlp.experts.0.hook_token_index'];
        expect(() => mixture.run(TOKENS, { capture: ragged })).toThrow(/the layers differ in shape/);
      });

      it('refuses names it does not have, and edits of the wrong shape', () => {
        // @ts-expect-error: there is no such hook
        expect(() => model.run(TOKENS, { capture: ['blocks.0.attn.hook_patern'] })).toThrow(
          /no hook "blocks\.0\.attn\.hook_patern".*blocks\.0\.attn\.hook_pattern/,
        );
        expect(() => model.run(TOKENS, { capture: ['blocks.99.hook_resid_pre'] })).toThrow(/no hook/);
        expect(() => model.run(TOKENS, { edit: { hook_embed: (x) => Tensor.from(x.backend, [1, 2]) } })).toThrow(
          /hook_embed.*\[2\]/,
        );
        const onlyQwen = () => {
          model.run(TOKENS, { capture: ['blocks.0.attn.hook_q_normed'] }).dispose();
        };
        if (name === 'qwen3') onlyQwen();
        else expect(onlyQwen).toThrow(/no hook/);
      });
    });
  });
});
