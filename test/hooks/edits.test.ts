import { beforeAll, describe, expect, it } from 'vitest';
import { type Edit, type Hook, HookError, load, type Model, Tensor } from '../../src/index.ts';
import { expectNothingLeft, TESTED_BACKENDS } from '../support/tested-backends.ts';
import { expectNear, modelFolder } from '../support/fixtures.ts';

const TOKENS = [5, 42, 79];
/** Each family, and what it has in more than one form; how weights are stored has no part in the form of latent attention. */
const NAMES =
  'llama_gqa_tied llama_bias mistral_sliding qwen2 qwen3 gemma2 gemma3_text phi3 smollm3 granite olmo2 gpt2 gpt_neox \
gpt_neox_sequential mixtral qwen3_moe gpt_oss gpt_oss_mxfp4 deepseek_v2 deepseek_v2_group deepseek_v3 deepseek_v3_noqlora \
deepseek_v3_fp8'.split(' ');
const CASES = NAMES.flatMap((name) =>
  name.startsWith('deepseek') && !name.endsWith('fp8')
    ? ([
        [name, 'absorbed'],
        [name, 'naive'],
      ] as const)
    : [[name, 'absorbed'] as const],
);

const logitsOf = (model: Model, edit?: Record<string, Edit>): Float32Array => {
  using run = model.run(TOKENS, { edit });
  return run.logits.data();
};

/** Far from what it was, in every number: large, of either sign, another choice. */
function perturbed(hook: string, value: Tensor, model: Model): Float32Array {
  const { experts, vocabSize } = model.config;
  const numbers = value.data();
  if (/hook_tokens|hook_token$/.test(hook)) return numbers.map((id) => (id + 1) % vocabSize);
  if (hook.endsWith('hook_expert_indices')) return numbers.map((id) => (id + 1) % experts!.count);
  if (hook.endsWith('hook_group_indices')) return numbers.map((id) => (id === 0 ? 1 : id - 1));
  return numbers.map((x, i) => -2 * x + ((i * 7) % 5) - 1.5);
}

/** A hook, and whether it belongs to an expert that no row chose. */
interface TriedHook {
  readonly point: Hook;
  readonly isIdle: boolean;
}

/**
 * The hooks of a model, but those of equal parts once: of layers with the same hooks, window and rotation the last one, and of a
 * mixture's experts the first that a row chose and the first that none did.
 */
function triedHooks(model: Model): TriedHook[] {
  const { windows, ropes } = model.config;
  const points = [...model.hookPoints.values()];
  const hooksOf = (layer: number): Hook[] => points.filter(({ name }) => name.startsWith(`blocks.${layer}.`));
  const layers = new Map<string, number>();
  for (let layer = 0; layer < model.config.nLayers; layer++) {
    const names = hooksOf(layer).map(({ name }) => name.slice(name.indexOf('.', 'blocks.'.length)));
    layers.set(JSON.stringify([names, windows[layer] === Infinity, ropes[layer]]), layer);
  }
  const tried = points.filter(({ name }) => !name.startsWith('blocks.')).map((point) => ({ point, isIdle: false }));
  for (const layer of layers.values()) {
    const chosen = chosenExperts(model, layer);
    const experts = Array.from({ length: model.config.experts?.count ?? 0 }, (_, expert) => expert);
    const busy = experts.find((expert) => chosen.has(expert));
    const idle = experts.find((expert) => !chosen.has(expert));
    for (const point of hooksOf(layer)) {
      const expert = /\.experts\.(\d+)\./.exec(point.name)?.[1];
      if (expert === undefined || Number(expert) === busy) tried.push({ point, isIdle: false });
      else if (Number(expert) === idle) tried.push({ point, isIdle: true });
    }
  }
  return tried;
}

/** The experts of a layer that a row of `TOKENS` chose; none where the layer has no mixture. */
function chosenExperts(model: Model, layer: number): Set<number> {
  const hook = `blocks.${layer}.mlp.hook_expert_indices`;
  if (!model.hookPoints.has(hook)) return new Set();
  using run = model.run(TOKENS, { capture: [hook] });
  return new Set(run.acts[hook].data());
}

describe.each(CASES)('edits of %s, %s', (name, mla) => {
  let model: Model;
  let plain: Float32Array;
  beforeAll(async () => {
    model = await load(modelFolder(name), { backend: 'reference', mla, compute: 'f32' });
    plain = logitsOf(model);
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    it('of every hook change the logits, or are refused by the name of one that can be edited', () => {
      for (const { point, isIdle } of triedHooks(model)) {
        const hook = point.name;
        let rows = 0;
        const edit: Edit = (value) => {
          rows = value.shape[0];
          return perturbed(hook, value, model);
        };
        let after: Float32Array;
        try {
          after = logitsOf(model, { [hook]: edit });
        } catch (error) {
          expect(error, hook).toBeInstanceOf(HookError);
          const named = [...(error as Error).message.matchAll(/\b(?:blocks\.\d+\.[\w.]+\w)/g)].map(([match]) => match);
          const others = named.filter((other) => other !== hook);
          expect(others.length, `${hook}: ${(error as Error).message}`).toBeGreaterThan(0);
          for (const other of others) expect(model.hookPoints.get(other)?.readOnly, other).toBeUndefined();
          expect(point.readOnly ?? point.zerosBy, hook).toBeDefined();
          continue;
        }
        expect(point.readOnly, hook).toBeUndefined();
        // The hooks of an expert that no row chose have nothing to edit, and are not asked.
        expect(rows === 0, `${hook}: whether nothing was given to the edit`).toBe(isIdle);
        if (!isIdle) expect(after, hook).not.toEqual(plain);
      }
    });

    it('that change no number change no bit, whatever way they say so', () => {
      const editable = [...model.hookPoints.values()].filter(({ readOnly }) => readOnly === undefined);
      const all = (edit: Edit): Record<string, Edit> => Object.fromEntries(editable.map((hook) => [hook.name, edit]));
      const isInt = ({ dtype }: Tensor): boolean => dtype === 'i32';
      expect(
        logitsOf(
          model,
          all(() => undefined),
        ),
      ).toEqual(plain);
      expect(
        logitsOf(
          model,
          all((value) => value),
        ),
      ).toEqual(plain);
      expect(
        logitsOf(
          model,
          all((value) => value.clone()),
        ),
      ).toEqual(plain);
      expect(
        logitsOf(
          model,
          all((value) => (isInt(value) ? value.data() : value.add(0))),
        ),
      ).toEqual(plain);
      expect(
        logitsOf(
          model,
          all((value) => value.data()),
        ),
      ).toEqual(plain);
    });

    it('of a head: its result at zero is its z at zero', () => {
      const { nHeads: H, nLayers } = model.config;
      const withoutHead =
        (head: number): Edit =>
        (value) => {
          const width = value.shape[2];
          return value.data().map((x, i) => (Math.floor(i / width) % H === head ? 0 : x));
        };
      for (let layer = 0; layer < nLayers; layer++) {
        const byZ = logitsOf(model, { [`blocks.${layer}.attn.hook_z`]: withoutHead(H - 1) });
        const byResult = logitsOf(model, { [`blocks.${layer}.attn.hook_result`]: withoutHead(H - 1) });
        expect(byZ).not.toEqual(plain);
        expectNear(byResult, byZ, 2e-3, `layer ${layer}`);
      }
    });
  });
});

describe.each(TESTED_BACKENDS)('edits on %s', (backend) => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('qwen3_moe'), { backend, weights: 'f32' });
    return () => {
      model.dispose();
    };
  });

  describe('with a model', () => {
    expectNothingLeft(() => model.backend);

    it('through a glob are refused where one of its hooks cannot be edited', () => {
      const glob = (): unknown => logitsOf(model, { 'blocks.0.attn.*': (value) => value.mul(2) });
      expect(glob).toThrow(
        /edit of blocks\.0\.attn\.hook_entropy, which "blocks\.0\.attn\.\*" takes in.*Edit blocks\.0\.attn\.hook_pattern instead/,
      );
    });

    it('are refused before the pass, and say what is possible', () => {
      const cache = model.newCache();
      const never: Edit = () => expect.fail('it was called');
      const run = (hook: string) => () => model.run(TOKENS, { cache, edit: { [hook]: never } });
      expect(run('blocks.0.mlp.experts.3.hook_token_index')).toThrow(
        /Edit blocks\.0\.mlp\.hook_expert_indices instead/,
      );
      expect(run('blocks.0.mlp.router.hook_margin')).toThrow(
        /router\.hook_logits or blocks\.0\.mlp\.hook_expert_indices/,
      );
      expect(run('sampler.hook_token')).toThrow(/"sampler\.hook_token" is a hook of `generate`/);
      expect(() => model.run(TOKENS, { cache, edit: { hook_embed: 3 as unknown as Edit } })).toThrow(
        /edit must be an object of functions by hook name/,
      );
      expect(cache.length).toBe(0);
      cache.dispose();
    });

    it('of the weights over all experts set those of the chosen ones', () => {
      using run = model.run(TOKENS, {
        capture: ['blocks.0.mlp.hook_expert_indices', 'blocks.0.mlp.hook_topk_weights'],
      });
      const ids = run.acts['blocks.0.mlp.hook_expert_indices'].data();
      const E = model.config.experts!.count;
      const without =
        (expert: number): Edit =>
        (value) =>
          value.data().map((x, i) => (i % E === expert ? 0 : x));
      const byDense = logitsOf(model, { 'blocks.0.mlp.hook_expert_weights': without(ids[0]) });
      const bySlot = logitsOf(model, {
        'blocks.0.mlp.hook_topk_weights': (value) => value.data().map((x, i) => (ids[i] === ids[0] ? 0 : x)),
      });
      expect(byDense).toEqual(bySlot);
      expect(byDense).not.toEqual(run.logits.data());
      const everywhere: Edit = ({ shape }) => new Float32Array(shape[0] * shape[1]).fill(0.5);
      expect(() => logitsOf(model, { 'blocks.0.mlp.hook_expert_weights': everywhere })).toThrow(
        /expected 0 where it was 0, got 0\.5 .*edit blocks\.0\.mlp\.hook_expert_indices/,
      );
    });

    it.each<[string, string, Edit, RegExp]>([
      ['another shape', 'hook_embed', (x) => x.slice([0, 0], [2, -1]), /edit of hook_embed: expected f32 \[3, 64\] in return, got f32 \[2, 64\]/], // prettier-ignore
      ['too few numbers', 'hook_embed', () => new Float32Array(3), /expected f32 \[3, 64\] in return, got f32 \[3\]/],
      ['integers for numbers', 'hook_embed', (x) => new Int32Array(x.data().length), /expected f32 .* got i32 \[192\]/],
      ['another dtype', 'hook_embed', (x) => x.cast('bf16'), /expected f32 .* got bf16/],
      ['a promise', 'hook_embed', (() => Promise.resolve()) as unknown as Edit, /a promise \(edits are synchronous\)/],
      ['a number', 'hook_embed', (() => 3) as unknown as Edit, /got 3\.$/],
      ['an object without a prototype', 'hook_embed', (() => Object.create(null) as unknown) as Edit, /got \{\}\.$/],
      ['another typed array', 'hook_embed', (() => new Float64Array(1)) as unknown as Edit, /got \[0\]\.$/],
      ['null', 'hook_embed', (() => null) as unknown as Edit, /got null/],
      ['a freed tensor', 'hook_embed', (x) => { const y = x.mul(2); y.dispose(); return y; }, /hook_embed.*freed/], // prettier-ignore
      ['a fraction for an id', 'hook_tokens', (x) => x.data().map((id) => id + 0.5), /hook_tokens: expected whole numbers from 0 to 511, got 5\.5/], // prettier-ignore
      ['NaN for an id', 'hook_tokens', (x) => x.data().fill(NaN), /whole numbers.*NaN/],
      ['an id beyond the last', 'hook_tokens', (x) => Int32Array.from(x.data()).fill(512), /from 0 to 511, got 512/],
      ['an id beyond 32 bits', 'hook_tokens', (x) => new Float32Array(x.shape[0]).fill(2 ** 31), /from 0 to 511, got 2147483648/], // prettier-ignore
      ['an expert that there is none of', 'blocks.0.mlp.hook_expert_indices', (x) => x.data().fill(-1), /hook_expert_indices: expected whole numbers from 0 to 7, got -1/], // prettier-ignore
    ])('give back %s: an error that says so', (_, hook, edit, message) => {
      const attempt = (): unknown => logitsOf(model, { [hook]: edit });
      expect(attempt).toThrow(HookError);
      expect(attempt).toThrow(message);
    });

    it('of ids take them as integers, or as numbers that are whole', () => {
      const next = (id: number): number => id + 1;
      using direct = model.run(TOKENS.map(next));
      const wanted = direct.logits.data();
      expect(logitsOf(model, { hook_tokens: (x) => x.data().map(next) })).toEqual(wanted);
      expect(logitsOf(model, { hook_tokens: (x) => Int32Array.from(x.data(), next) })).toEqual(wanted);
      expect(logitsOf(model, { hook_tokens: (x) => Tensor.from(x.backend, TOKENS.map(next)) })).toEqual(wanted);
    });

    it("that give back a tensor of the caller's leave it to the caller", () => {
      using other = model.run([9, 8, 7], { capture: ['hook_embed', 'blocks.*.hook_resid_post', 'hook_logits'] });
      const { hook_embed: embed, hook_logits: logits } = other.acts;
      expect(logitsOf(model, { hook_embed: () => embed })).toEqual(logits.data());
      expect(logitsOf(model, { hook_logits: () => logits })).toEqual(logits.data());
      using last = model.run([9, 8, 7], { capture: ['blocks.1.hook_resid_post'] });
      const residual = last.acts['blocks.1.hook_resid_post'];
      expect(logitsOf(model, { 'blocks.1.hook_resid_post': () => residual })).toEqual(logits.data());
      expect([embed, logits, residual].map(({ disposed }) => disposed)).toEqual([false, false, false]);
    });

    it('of the sampler force a token, and are refused where no token can be chosen by them', async () => {
      const generate = async (edit: Record<string, Edit>): Promise<number[]> => {
        const ids: number[] = [];
        const options = { edit, maxTokens: 2, temperature: 0, repetitionPenalty: 1, ignoreEos: true };
        for await (const { token } of model.generate(TOKENS, options)) ids.push(token);
        return ids;
      };
      const only =
        (id: number): Edit =>
        ({ shape }) =>
          new Float32Array(shape[1]).fill(0).fill(1, id, id + 1);
      expect(await generate({ 'sampler.hook_logits': only(7) })).toEqual([7, 7]);
      expect(await generate({ 'sampler.hook_probs': only(8) })).toEqual([8, 8]);
      expect(await generate({ 'sampler.hook_token': () => Int32Array.of(9) })).toEqual([9, 9]);
      const nothing: Edit = ({ shape }) => new Float32Array(shape[1]);
      await expect(generate({ 'sampler.hook_probs': nothing })).rejects.toThrow(
        /sampler\.hook_probs.*every probability is 0/,
      );
      await expect(generate({ 'sampler.hook_probs': (x) => x.add(-0.1) })).rejects.toThrow(
        /probability of token \d+ is -0\.1/,
      );
      await expect(generate({ 'sampler.hook_logits': (x) => x.data().fill(NaN) })).rejects.toThrow(
        /edit of sampler\.hook_logits.*token 0 is NaN/,
      );
      await expect(generate({ 'sampler.hook_token': () => Int32Array.of(512) })).rejects.toThrow(
        /hook_token: expected whole numbers from 0 to 511/,
      );
    });
  });
});
