import { beforeAll, describe, expect, it } from 'vitest';
import { type Edit, load, type Model } from '../../src/index.ts';
import { shapeOf } from '../../src/hooks/axes.ts';
import type { Activation } from '../../src/tensor/ops/activation.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';
import { expectNear, modelFolder } from '../support/fixtures.ts';

const TOKENS = Array.from({ length: 12 }, (_, i) => (i * 37 + 5) % 500);

/** What each family has that not all do, and what it lacks; `blocks.1.` is left out. */
const FAMILIES: Readonly<Record<string, { has: readonly string[]; lacks: readonly string[] }>> = {
  gemma2: {
    has: ['ln1.hook_scale', 'ln1_post.hook_scale', 'ln2_post.hook_normalized'],
    lacks: ['attn.hook_q_normed', 'kv.hook_evict'],
  },
  gemma3_text: { has: ['attn.hook_k_normed', 'ln2_post.hook_scale'], lacks: ['attn.hook_sink_logit'] },
  phi3: { has: ['kv.hook_evict', 'mlp.hook_pre_linear'], lacks: ['ln1_post.hook_scale'] },
  granite: { has: ['hook_resid_mid', 'ln2.hook_normalized'], lacks: ['ln2_post.hook_scale'] },
  smollm3: { has: ['attn.hook_rot_q', 'attn.hook_rot_k'], lacks: ['attn.hook_q_normed'] },
  olmo2: { has: ['attn.hook_q_normed', 'ln1_post.hook_scale'], lacks: ['ln1.hook_scale', 'ln2.hook_normalized'] },
  gpt2: { has: ['ln1.hook_scale', 'hook_resid_mid'], lacks: ['attn.hook_rot_q', 'mlp.hook_pre_linear'] },
  gpt_neox: { has: ['attn.hook_rot_k', 'ln2.hook_scale'], lacks: ['hook_resid_mid', 'mlp.hook_pre_linear'] },
  gpt_neox_sequential: { has: ['hook_resid_mid'], lacks: ['mlp.hook_pre_linear'] },
};

const ACTIVATIONS: Partial<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  gelu: (x) => x * integral(x),
};

/** Of the standard normal density up to x, by Simpson's rule. */
function integral(x: number): number {
  const n = 200;
  let sum = 0;
  for (let i = 0; i <= n; i++) sum += Math.exp(-(((i * x) / n) ** 2) / 2) * (i === 0 || i === n ? 1 : 2 + 2 * (i % 2));
  return 0.5 + (x * sum) / n / 3 / Math.sqrt(2 * Math.PI);
}

describe.each(TESTED_BACKENDS)('hooks on %s', (backend) => {
  describe.each(Object.entries(FAMILIES))('%s', (name, { has, lacks }) => {
    let model: Model;
    beforeAll(async () => {
      model = await load(modelFolder(name), { backend, weights: 'f32' });
      return () => {
        model.dispose();
      };
    });

    describe('with a model', () => {
      expectNothingLeft(() => model.backend);

      it('lists just what it has, and gives it in the axes of the table', () => {
        const { acts, dispose } = model.run(TOKENS, { capture: model.hooks });
        expect(Object.keys(acts).sort()).toEqual([...model.hooks].sort());
        for (const [hook, value] of Object.entries(acts)) {
          const sizes = shapeOf(model.hookPoints.get(hook)!, model.config, { positions: TOKENS.length });
          expect(value.shape, hook).toEqual(sizes.map((size, axis) => size ?? value.shape[axis]));
        }
        dispose();
        expect(model.hooks).toEqual(expect.arrayContaining(has.map((hook) => `blocks.1.${hook}`)));
        expect(model.hooks.includes('hook_pos_embed')).toBe(name === 'gpt2');
        for (const hook of lacks)
          expect(() => model.run(TOKENS, { capture: [`blocks.1.${hook}`] })).toThrow(
            /no hook "blocks\.1\.[\w.]+": only (layers|blocks) [^.]+ have it( \([\w, ]+\)|, here layers 0 and 2)?\. Nearest: blocks\./,
          );
      });

      it('holds the identities of the residual stream, norms, attention, MLP and head', () => {
        const { acts, logits, dispose } = model.run(TOKENS, { capture: model.hooks });
        const T = TOKENS.length;
        const { nHeads: H, nKvHeads: K, headDim: d, dim: D, nLayers, activation, gatedMlp } = model.config;
        const has = (hook: string): boolean => model.hooks.includes(`blocks.0.${hook}`);
        const value = (hook: string): Float32Array => acts[hook].data();
        const sum = (...hooks: string[]): Float32Array => {
          const [first, ...rest] = hooks.map(value);
          return first.map((x, i) => rest.reduce((total, other) => total + other[i], x));
        };
        const entry = model.hooks.includes('hook_pos_embed')
          ? sum('hook_embed', 'hook_pos_embed')
          : value('hook_embed');
        for (let layer = 0; layer < nLayers; layer++) {
          const at = (hook: string): string => `blocks.${layer}.${hook}`;
          expect(value(at('hook_resid_pre'))).toEqual(
            layer === 0 ? entry : value(`blocks.${layer - 1}.hook_resid_post`),
          );
          const added = sum(at('hook_resid_pre'), at('hook_attn_out'), at('hook_mlp_out'));
          expectNear(value(at('hook_resid_post')), added, 1e-5, 'resid_post');
          if (has('hook_resid_mid'))
            expectNear(value(at('hook_resid_mid')), sum(at('hook_resid_pre'), at('hook_attn_out')), 1e-5, 'resid_mid');

          // What a norm shows: its input over its divisor.
          const normed = (norm: string, input: string): void => {
            const scale = value(at(`${norm}.hook_scale`));
            const x = value(at(input));
            const layerNorm = name.startsWith('gpt');
            const expected = x.map((y, i) => {
              const row = x.subarray(i - (i % D), i - (i % D) + D);
              return (y - (layerNorm ? row.reduce((total, z) => total + z, 0) / D : 0)) / scale[Math.floor(i / D)];
            });
            expectNear(value(at(`${norm}.hook_normalized`)), expected, 1e-4, norm);
          };
          if (has('ln1.hook_scale')) {
            normed('ln1', 'hook_resid_pre');
            normed('ln2', has('hook_resid_mid') ? 'hook_resid_mid' : 'hook_resid_pre');
          }
          if (has('ln1_post.hook_scale')) {
            normed('ln1_post', 'attn.hook_out');
            normed('ln2_post', 'mlp.hook_out');
          } else if (name !== 'granite') {
            expect(value(at('hook_attn_out'))).toEqual(value(at('attn.hook_out')));
            expect(value(at('hook_mlp_out'))).toEqual(value(at('mlp.hook_out')));
          }

          // Heads add up to the output, but for the bias, which is the same for every token.
          const result = value(at('attn.hook_result')); // [T, H, D]
          const bias = value(at('attn.hook_out')).map((y, i) => {
            let total = y;
            for (let head = 0; head < H; head++) total -= result[(Math.floor(i / D) * H + head) * D + (i % D)];
            return total;
          });
          const first = name.startsWith('gpt') ? bias.slice(0, D) : new Float32Array(D);
          expectNear(
            bias,
            bias.map((_, i) => first[i % D]),
            2e-5,
            'sum of heads',
          );

          // Rows of the pattern are probabilities, of what the window shows; z mixes the values by them.
          const pattern = value(at('attn.hook_pattern')); // [H, T, T]
          const window = model.config.windows[layer];
          const values = value(at('attn.hook_v')); // [T, K, d]
          const z = value(at('attn.hook_z')).map((_, i) => {
            const [t, head, column] = [Math.floor(i / (H * d)), Math.floor(i / d) % H, i % d];
            const row = pattern.subarray((head * T + t) * T, (head * T + t + 1) * T);
            expect(row.every((p, s) => (s <= t && s > t - window) || p === 0)).toBe(true);
            expect(Math.abs(row.reduce((total, p) => total + p, 0) - 1)).toBeLessThan(1e-5);
            return row.reduce(
              (total, p, s) => total + p * values[(s * K + Math.floor(head / (H / K))) * d + column],
              0,
            );
          });
          expectNear(value(at('attn.hook_z')), z, 1e-5, 'z');

          const act = ACTIVATIONS[activation]!;
          const up = gatedMlp ? value(at('mlp.hook_pre_linear')) : undefined;
          const post = value(at('mlp.hook_pre')).map((x, i) => act(x) * (up ? up[i] : 1));
          expectNear(value(at('mlp.hook_post')), post, 1e-4, 'post');
        }
        expect(value('hook_logits')).toEqual(logits.data());
        // What the head gives is what the sampler sees, but for a factor or a bound.
        const raw = value('unembed.hook_out');
        const seen =
          name === 'gemma2' ? raw.map((x) => 6 * Math.tanh(x / 6)) : name === 'granite' ? raw.map((x) => x / 2.5) : raw;
        expectNear(value('hook_logits'), seen, 1e-5, 'logits');
        dispose();
      });

      it('an edit of what goes into a sub-layer acts on the sub-layer, and not on the residual stream', () => {
        const read = (edit?: Record<string, Edit>): Map<string, Float32Array> => {
          const names = [
            'hook_resid_pre',
            'hook_attn_in',
            'hook_attn_out',
            'hook_mlp_in',
            'hook_mlp_out',
            'hook_resid_post',
          ];
          using run = model.run(TOKENS, { capture: names.map((hook) => `blocks.1.${hook}`), edit });
          return new Map(names.map((hook) => [hook, run.acts[`blocks.1.${hook}`].data()]));
        };
        const clean = read();
        const isParallel = !model.hooks.includes('blocks.1.hook_resid_mid');
        expect(clean.get('hook_attn_in')).toEqual(clean.get('hook_resid_pre'));
        const halved: Edit = (x) => x.mul(0.5).add(0.25);
        // Where the stream itself is edited, both sub-layers and the sum after them see it.
        const stream = read({ 'blocks.1.hook_resid_pre': halved });
        const attn = read({ 'blocks.1.hook_attn_in': halved });
        expect(attn.get('hook_attn_out')).toEqual(stream.get('hook_attn_out'));
        expect(attn.get('hook_attn_out')).not.toEqual(clean.get('hook_attn_out'));
        expect(attn.get('hook_resid_pre')).toEqual(clean.get('hook_resid_pre'));
        if (isParallel) expect(attn.get('hook_mlp_out')).toEqual(clean.get('hook_mlp_out'));
        const mlp = read({ 'blocks.1.hook_mlp_in': halved });
        const into = read({ [isParallel ? 'blocks.1.hook_resid_pre' : 'blocks.1.hook_resid_mid']: halved });
        expect(mlp.get('hook_mlp_out')).toEqual(into.get('hook_mlp_out'));
        expect(mlp.get('hook_mlp_out')).not.toEqual(clean.get('hook_mlp_out'));
        for (const edited of [attn, mlp]) {
          const [pre, fromAttn, fromMlp] = ['hook_resid_pre', 'hook_attn_out', 'hook_mlp_out'].map((hook) =>
            edited.get(hook)!,
          );
          const sum = pre.map((x, i) => x + fromAttn[i] + fromMlp[i]);
          expectNear(edited.get('hook_resid_post')!, sum, 1e-5, 'resid_post');
        }
      });

      it('computes the same bits watched and unwatched, and after edits that change nothing', () => {
        const plain = model.run(TOKENS);
        const watched = model.run(TOKENS, { capture: model.hooks });
        const same = model.run(TOKENS, { edit: { 'blocks.*.hook_resid_post': (x) => x.clone() } });
        const other = model.run(TOKENS, { edit: { 'blocks.1.hook_attn_out': (x) => x.mul(0) } });
        expect(watched.logits.data()).toEqual(plain.logits.data());
        expect(same.logits.data()).toEqual(plain.logits.data());
        expect(other.logits.data()).not.toEqual(plain.logits.data());
        for (const run of [plain, watched, same, other]) run.dispose();
      });
    });
  });

  it('a layer without positions has no rotated queries', async () => {
    using model = await load(modelFolder('smollm3'), { backend, weights: 'f32' });
    expect(model.hooks.filter((hook) => hook.endsWith('hook_rot_q'))).toEqual(
      [0, 1, 2].map((layer) => `blocks.${layer}.attn.hook_rot_q`),
    );
    expect(() => model.run(TOKENS, { capture: ['blocks.3.attn.hook_rot_q'] })).toThrow(/no hook/);
    const { acts, dispose } = model.run(TOKENS, { capture: ['blocks.3.attn.hook_k', 'blocks.3.kv.hook_write_k'] });
    expect(acts['blocks.3.kv.hook_write_k'].data()).toEqual(acts['blocks.3.attn.hook_k'].data());
    dispose();
  });
});
