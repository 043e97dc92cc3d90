import { beforeAll, describe, expect, it } from 'vitest';
import { load, type Model } from '../../src/index.ts';
import { shapeOf } from '../../src/hooks/axes.ts';
import { MIXTURES, modelFolder } from '../support/fixtures.ts';
import { TESTED_BACKENDS } from '../support/tested-backends.ts';

const TOKENS = Array.from({ length: 12 }, (_, i) => (i * 37 + 5) % 500);
const T = TOKENS.length;

const expectClose = (actual: Float32Array, wanted: ArrayLike<number>, what: string): void => {
  expect(actual.length, what).toBe(wanted.length);
  const worst = actual.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]) / (1 + Math.abs(wanted[i]))), 0);
  expect(worst, what).toBeLessThan(2e-5);
};

describe.each(TESTED_BACKENDS)('run on %s', (backend) => {
  describe.each(
    MIXTURES.flatMap(
      (name) =>
        (name.startsWith('deepseek')
          ? [
              [name, 'absorbed'],
              [name, 'naive'],
            ]
          : [[name, 'absorbed']]) as [string, 'absorbed' | 'naive'][],
    ),
  )('%s, %s', (name, mla) => {
    let model: Model;
    let acts: Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
    beforeAll(async () => {
      model = await load(modelFolder(name), { backend, weights: 'f32', mla });
      const run = model.run(TOKENS, { capture: model.hooks });
      acts = Object.fromEntries(
        Object.entries(run.acts).map(([hook, value]) => [hook, { shape: value.shape, data: value.data() }]),
      );
      run.dispose();
      return () => {
        model.dispose();
      };
    });
    const at = (layer: number, hook: string): Float32Array => acts[`blocks.${layer}.${hook}`].data;
    const mixtures = (): number[] => model.config.experts!.layers.flatMap((is, layer) => (is ? [layer] : []));

    it('gives every hook that it lists, in the axes that the table says', () => {
      expect(Object.keys(acts).sort()).toEqual([...model.hooks].sort());
      for (const [hook, { shape }] of Object.entries(acts)) {
        const sizes = shapeOf(model.hookPoints.get(hook)!, model.config, { positions: T });
        expect(shape, hook).toEqual(sizes.map((size, axis) => size ?? shape[axis]));
      }
    });

    it('the output of a mixture is that of its experts by their weights, and of the shared one', () => {
      const { dim: D, experts } = model.config;
      const { count: E, perToken: k, sharedDim } = experts!;
      for (const layer of mixtures()) {
        const [ids, weights, out] = ['hook_expert_indices', 'hook_topk_weights', 'hook_expert_out'].map((hook) =>
          at(layer, `mlp.${hook}`),
        );
        const shared = sharedDim > 0 ? at(layer, 'mlp.shared.hook_out') : new Float32Array(T * D);
        const mixed = shared.map((x, i) => {
          const [row, column] = [Math.floor(i / D), i % D];
          let sum = x;
          for (let j = 0; j < k; j++) sum += weights[row * k + j] * out[(row * k + j) * D + column];
          return sum;
        });
        expectClose(at(layer, 'mlp.hook_out'), mixed, 'mixture');
        const dense = at(layer, 'mlp.hook_expert_weights');
        for (let row = 0; row < T; row++) {
          const own = [...dense.subarray(row * E, (row + 1) * E)];
          expect(own.filter((weight) => weight !== 0).length).toBe(k);
          for (let j = 0; j < k; j++) expect(own[ids[row * k + j]]).toBe(weights[row * k + j]);
        }
        // Each expert's rows, and where their outputs went.
        for (let expert = 0; expert < E; expert++) {
          const rows = [...at(layer, `mlp.experts.${expert}.hook_token_index`)];
          expect(rows).toEqual(
            [...ids.keys()].filter((slot) => ids[slot] === expert).map((slot) => Math.floor(slot / k)),
          );
          const own = at(layer, `mlp.experts.${expert}.hook_out`);
          rows.forEach((row, i) => {
            const slot = row * k + [...ids.subarray(row * k, (row + 1) * k)].indexOf(expert);
            expect(own.slice(i * D, (i + 1) * D)).toEqual(out.slice(slot * D, (slot + 1) * D));
          });
        }
      }
    });

    it('the chosen experts have the highest scores of those that could be chosen', () => {
      const { experts } = model.config;
      const { hooks } = model;
      const { count: E, perToken: k } = experts!;
      for (const layer of mixtures()) {
        const scored = ['hook_biased_scores', 'hook_scores', 'hook_logits'].find((hook) =>
          hooks.includes(`blocks.${layer}.mlp.router.${hook}`),
        );
        const scores = at(layer, `mlp.router.${scored}`);
        const groups = (acts as Partial<typeof acts>)[`blocks.${layer}.mlp.router.hook_group_indices`];
        const groupSize = groups && E / (name === 'deepseek_v3_fp8' ? 2 : 4);
        for (let row = 0; row < T; row++) {
          const open = (expert: number): boolean =>
            groups === undefined ||
            [...groups.data.subarray(row * groups.shape[1], (row + 1) * groups.shape[1])].includes(
              Math.floor(expert / groupSize!),
            );
          const ranked = Array.from({ length: E }, (_, expert) => expert)
            .filter(open)
            .sort((a, b) => scores[row * E + b] - scores[row * E + a]);
          expect([...at(layer, 'mlp.hook_expert_indices').subarray(row * k, (row + 1) * k)]).toEqual(
            ranked.slice(0, k),
          );
          const margin = ranked.length > k ? scores[row * E + ranked[k - 1]] - scores[row * E + ranked[k]] : Infinity;
          const shown = at(layer, 'mlp.router.hook_margin')[row];
          if (Number.isFinite(margin)) expect(shown).toBeCloseTo(margin, 5);
          else expect(shown).toBe(Infinity);
        }
      }
    });

    it('patterns and sinks add up to 1; scores are those of the queries and keys that are shown', () => {
      const { nHeads: H, nKvHeads: K, headDim: d, attentionScale, attentionSinks, latent, windows } = model.config;
      for (let layer = 0; layer < model.config.nLayers; layer++) {
        const pattern = at(layer, 'attn.hook_pattern');
        const sink = attentionSinks ? at(layer, 'attn.hook_sink_prob') : undefined;
        const [q, k] = latent
          ? [at(layer, 'attn.hook_q'), at(layer, 'attn.hook_k')]
          : [at(layer, 'attn.hook_rot_q'), at(layer, 'attn.hook_rot_k')];
        const scores = at(layer, 'attn.hook_attn_scores');
        for (let row = 0; row < H * T; row++) {
          const [head, t] = [Math.floor(row / T), row % T];
          const total = pattern.subarray(row * T, (row + 1) * T).reduce((sum, p) => sum + p, 0);
          expect(total + (sink?.[row] ?? 0)).toBeCloseTo(1, 5);
          for (let s = Math.max(0, t - windows[layer] + 1); s <= t; s++) {
            const keyHead = Math.floor(head / (H / K));
            let dot = 0;
            for (let i = 0; i < d; i++) dot += q[(t * H + head) * d + i] * k[(s * K + keyHead) * d + i];
            expect(scores[row * T + s]).toBeCloseTo(dot * attentionScale, 3);
          }
        }
      }
    });

    it('latents, and what they become', () => {
      const { latent, nHeads: H } = model.config;
      if (latent === undefined) {
        expect(model.hooks.filter((hook) => /latent|nope|absorbed/.test(hook))).toEqual([]);
        return;
      }
      const { rank: r, nopeDim: dn, ropeDim: dr, valueDim: dv, absorbed } = latent;
      for (let layer = 0; layer < model.config.nLayers; layer++) {
        const [q, nope, rope] = ['hook_q', 'hook_q_nope', 'hook_q_rope'].map((hook) => at(layer, `attn.${hook}`));
        const joined = Array.from({ length: T * H }, (_, i) => [
          ...nope.subarray(i * dn, (i + 1) * dn),
          ...rope.subarray(i * dr, (i + 1) * dr),
        ]).flat();
        expect([...q]).toEqual(joined);
        // z is the mixture of the shown values by the shown pattern.
        const [pattern, v, z] = ['hook_pattern', 'hook_v', 'hook_z'].map((hook) => at(layer, `attn.${hook}`));
        const mix = (width: number, value: (s: number, head: number, i: number) => number): Float32Array =>
          Float32Array.from({ length: T * H * width }, (_, at) => {
            const [t, head, i] = [Math.floor(at / (H * width)), Math.floor(at / width) % H, at % width];
            let sum = 0;
            for (let s = 0; s <= t; s++) sum += pattern[(head * T + t) * T + s] * value(s, head, i);
            return sum;
          });
        expectClose(
          z,
          mix(dv, (s, head, i) => v[(s * H + head) * dv + i]),
          'z',
        );
        if (!absorbed) continue;
        const cached = at(layer, 'kv.hook_latent');
        expect(cached).toEqual(at(layer, 'attn.hook_kv_latent'));
        expect(at(layer, 'kv.hook_rope')).toEqual(at(layer, 'attn.hook_k_rope'));
        expectClose(
          at(layer, 'attn.hook_ctx_latent'),
          mix(r, (s, _, i) => cached[s * r + i]),
          'ctx',
        );
        // q_absorbed . latent is q_nope . k_nope.
        const [taken, k] = [at(layer, 'attn.hook_q_absorbed'), at(layer, 'attn.hook_k')];
        for (let i = 0; i < T * H; i++) {
          const s = Math.floor(i / H);
          let [direct, through] = [0, 0];
          for (let j = 0; j < dn; j++) direct += nope[i * dn + j] * k[i * (dn + dr) + j];
          for (let j = 0; j < r; j++) through += taken[i * r + j] * cached[s * r + j];
          expect(through).toBeCloseTo(direct, 3);
        }
      }
    });

    it('computes the same bits watched and unwatched', () => {
      const [plain, watched] = [model.run(TOKENS), model.run(TOKENS, { capture: model.hooks })];
      expect(watched.logits.data()).toEqual(plain.logits.data());
      for (const run of [plain, watched]) run.dispose();
    });
  });
});
