import { describe, expect, it } from 'vitest';
import { load } from '../../../src/engine/load/load.ts';
import type { Model } from '../../../src/engine/model.ts';
import { MIXTURES, MODELS, modelFolder, readExpected } from '../../support/fixtures.ts';
import {
  applied,
  mixed,
  normed,
  type Numbers,
  rowsOf,
  scaled,
  sizesOf,
  sizesOfAxes,
  taken,
} from '../../support/named-weights.ts';

const layerOf = (name: string): number | undefined => {
  const found = /^blocks\.(\d+)\./.exec(name);
  return found ? Number(found[1]) : undefined;
};

/** A recorded pass, and equations between its activations and the model's weights, of which it notes the names. */
class Equations {
  readonly used = new Set<string>();
  readonly model: Model;
  readonly #acts: ReadonlyMap<string, Numbers>;
  readonly #names: ReadonlySet<string>;

  constructor(model: Model, tokens: readonly number[]) {
    this.model = model;
    this.#names = new Set(model.weights.names);
    const run = model.run(tokens, { capture: model.hooks, edit: {} });
    this.#acts = new Map(Object.entries(run.acts).map(([name, tensor]) => [name, taken(tensor)]));
    run.dispose();
  }

  has(hook: string): boolean {
    return this.#acts.has(hook);
  }

  act(hook: string): Numbers {
    return this.#acts.get(hook) ?? expect.fail(`${hook} was not recorded`);
  }

  /** A weight; undefined where the model says that it has none of the name. */
  weight(name: string): Numbers | undefined {
    if (!this.#names.has(name)) return undefined;
    this.used.add(name);
    return taken(this.model.weights.get(name));
  }

  /** A weight that the model must have. */
  need(name: string): Numbers {
    return this.weight(name) ?? expect.fail(`there is no weight ${name}`);
  }

  /** Holds an activation to what was computed by hand; in relation to its largest number. */
  expectAct(hook: string, { shape, values }: Numbers, rows?: number): void {
    const all = this.act(hook);
    const seen =
      rows === undefined
        ? all
        : rowsOf(
            all,
            Array.from({ length: rows }, (_, i) => i),
          );
    expect(seen.values.length, `${hook} ${seen.shape.join()} and ${shape.join()}`).toBe(values.length);
    const largest = seen.values.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
    const worst = seen.values.reduce((most, x, i) => Math.max(most, Math.abs(x - values[i])), 0);
    expect(worst / largest, hook).toBeLessThan(2e-5);
  }

  /** `hook = x W_NAME + b_NAME`, or that of several heads. */
  expectLinear(hook: string, x: Numbers, path: string, name: string): void {
    this.expectAct(hook, applied(x, this.need(`${path}.W_${name}`), this.weight(`${path}.b_${name}`)));
  }
}

function expectNorm(eq: Equations, path: string, out: string): void {
  if (!eq.has(`${path}.hook_normalized`)) return;
  eq.expectAct(out, scaled(eq.act(`${path}.hook_normalized`), eq.need(`${path}.w`), eq.weight(`${path}.b`)));
}

function expectHeadAttention(eq: Equations, block: string): void {
  const { normEpsilon, headDim: d } = eq.model.config;
  const attn = `${block}.attn`;
  const x = eq.act(`${block}.attn.hook_in`);
  for (const [hook, name] of [
    ['hook_q', 'Q'],
    ['hook_k', 'K'],
    ['hook_v', 'V'],
  ] as const)
    eq.expectLinear(`${attn}.${hook}`, x, attn, name);
  for (const letter of ['q', 'k']) {
    const gain = eq.weight(`${attn}.${letter}_norm.w`);
    if (gain === undefined) continue;
    const rows = normed(eq.act(`${attn}.hook_${letter}`), gain.values.length, normEpsilon);
    eq.expectAct(`${attn}.hook_${letter}_normed`, scaled(rows, gain));
    expect(gain.values.length % d, 'heads in a gain').toBe(0);
  }
  const sinks = eq.weight(`${attn}.sinks`);
  if (sinks) eq.expectAct(`${attn}.hook_sink_logit`, sinks);
}

function expectLatentAttention(eq: Equations, block: string): void {
  const { ropeDim: dr, nopeDim: dn } = eq.model.config.latent!;
  const attn = `${block}.attn`;
  const x = eq.act(`${block}.attn.hook_in`);
  const made = (input: Numbers, name: string): Numbers =>
    applied(input, eq.need(`${attn}.W_${name}`), eq.weight(`${attn}.b_${name}`));
  const gained = (rows: Numbers, gain: Numbers): Numbers => scaled(normed(rows, gain.values.length, 1e-6), gain);
  if (eq.has(`${attn}.hook_q_latent`)) {
    eq.expectAct(`${attn}.hook_q_latent`, gained(made(x, 'DQ'), eq.need(`${attn}.q_latent_norm.w`)));
    const latent = eq.act(`${attn}.hook_q_latent`);
    eq.expectAct(`${attn}.hook_q_nope`, made(latent, 'UQ'));
    eq.expectAct(`${attn}.hook_q_rope`, rowsOf(made(latent, 'QR'), [0]), 1); // At position 0 nothing is rotated.
  } else {
    const first = rowsOf(made(x, 'Q'), [0]);
    eq.expectAct(`${attn}.hook_q`, first, 1);
    expect(first.shape.at(-1)).toBe(dn + dr);
  }
  eq.expectAct(`${attn}.hook_kv_latent`, gained(made(x, 'DKV'), eq.need(`${attn}.kv_latent_norm.w`)));
  eq.expectAct(`${attn}.hook_k_rope`, rowsOf(made(x, 'KR'), [0]), 1);
  const latent = eq.act(`${attn}.hook_kv_latent`);
  eq.expectAct(`${attn}.hook_v`, made(latent, 'UV'));
  const keys = eq.act(`${attn}.hook_k`); // [T, H, dn + dr], rotary part last
  const nope = keys.values.filter((_, i) => i % (dn + dr) < dn);
  const byHand = made(latent, 'UK');
  const worst = nope.reduce((most, v, i) => Math.max(most, Math.abs(v - byHand.values[i])), 0);
  expect(worst, `${attn}.hook_k`).toBeLessThan(2e-5);
}

/** A gated or a plain feed-forward layer on the rows that it read. */
function expectMlp(eq: Equations, path: string, x: Numbers): void {
  const isGated = eq.has(`${path}.hook_pre_linear`);
  if (isGated) eq.expectLinear(`${path}.hook_pre_linear`, x, path, 'in');
  eq.expectLinear(`${path}.hook_pre`, x, path, isGated ? 'gate' : 'in');
  eq.expectLinear(`${path}.hook_out`, eq.act(`${path}.hook_post`), path, 'out');
}

function expectMixture(eq: Equations, path: string, x: Numbers): void {
  eq.expectLinear(`${path}.router.hook_logits`, eq.act(`${path}.router.hook_in`), path, 'router');
  const bias = eq.weight(`${path}.b_choice`);
  if (bias) {
    const scores = eq.act(`${path}.router.hook_scores`);
    const ones = { shape: bias.shape, values: new Float64Array(bias.values.length).fill(1) };
    eq.expectAct(`${path}.router.hook_biased_scores`, scaled(scores, ones, bias));
  }
  for (let expert = 0; expert < eq.model.config.experts!.count; expert++) {
    const own = `${path}.experts.${expert}`;
    expectMlp(eq, own, rowsOf(x, [...eq.act(`${own}.hook_token_index`).values]));
  }
  if (eq.has(`${path}.shared.hook_pre`)) expectMlp(eq, `${path}.shared`, x);
}

function expectBlock(eq: Equations, layer: number): void {
  const block = `blocks.${layer}`;
  expectNorm(eq, `${block}.ln1`, `${block}.attn.hook_in`);
  if (eq.model.config.latent) expectLatentAttention(eq, block);
  else expectHeadAttention(eq, block);
  const output = mixed(eq.act(`${block}.attn.hook_z`), eq.need(`${block}.attn.W_O`), eq.weight(`${block}.attn.b_O`));
  eq.expectAct(`${block}.attn.hook_out`, output);
  expectNorm(eq, `${block}.ln1_post`, `${block}.hook_attn_out`);
  expectNorm(eq, `${block}.ln2`, `${block}.mlp.hook_in`);
  const x = eq.act(`${block}.mlp.hook_in`);
  if (eq.has(`${block}.mlp.router.hook_in`)) expectMixture(eq, `${block}.mlp`, x);
  else expectMlp(eq, `${block}.mlp`, x);
  expectNorm(eq, `${block}.ln2_post`, `${block}.hook_mlp_out`);
}

/** Factor on the embeddings, as config.json has it. */
function embedScale({ config, files }: Model): number {
  const { embedding_multiplier: factor = 1 } = files.config as { embedding_multiplier?: number };
  return config.modelType.startsWith('gemma') ? config.dim ** 0.5 : factor;
}

function expectEnds(eq: Equations, tokens: readonly number[]): void {
  const factor = { shape: [1], values: Float64Array.of(embedScale(eq.model)) };
  eq.expectAct('hook_embed', scaled(rowsOf(eq.need('W_E'), tokens), factor));
  const positions = eq.weight('W_pos');
  if (positions) eq.expectAct('hook_pos_embed', rowsOf(positions, [...tokens.keys()]));
  expectNorm(eq, 'ln_final', 'ln_final.hook_out');
  eq.expectAct('unembed.hook_out', applied(eq.act('ln_final.hook_out'), eq.need('W_U'), eq.weight('b_U')));
}

describe.each(['absorbed', 'naive'] as const)('weights by name, latent attention %s', (mla) => {
  const models = mla === 'absorbed' ? [...MODELS, ...MIXTURES] : MIXTURES.filter((name) => name.startsWith('deepseek'));

  it.each(models)(
    '%s: each weight has the shape that its axes say, and makes the activations that it should',
    async (name) => {
      using model = await load(modelFolder(name), { compute: 'f32', mla });
      for (const { name: weight, axes, shape } of model.weights.list.values()) {
        expect(shape, `${weight} (${axes})`).toEqual(sizesOfAxes(axes, sizesOf(model, layerOf(weight), weight)));
        expect(model.weights.shape(weight)).toEqual(shape);
        expect(taken(model.weights.get(weight)).shape, weight).toEqual(shape);
      }
      const tokens = [...(await readExpected(name))('input_ids').data].slice(0, 12);
      const eq = new Equations(model, tokens);
      expectEnds(eq, tokens);
      for (let layer = 0; layer < model.config.nLayers; layer++) expectBlock(eq, layer);
      expect(
        model.weights.names.filter((weight) => !eq.used.has(weight)),
        'weights without an equation',
      ).toEqual([]);
    },
  );
});
