import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { load } from '../../../src/engine/load/load.ts';
import type { LoadOptions } from '../../../src/engine/load/load-options.ts';
import type { Model } from '../../../src/engine/model.ts';
import type { WeightEdits } from '../../../src/engine/weight-scopes.ts';
import { liveTensors, Tensor } from '../../../src/tensor/tensor.ts';
import { expectNear, modelFolder, randomTokens } from '../../support/fixtures.ts';
import { applied, taken } from '../../support/named-weights.ts';

const TOKENS = randomTokens(7, 90);

/** All logits. */
function logits(model: Model, tokens: readonly number[] = TOKENS): Float32Array {
  using rows = model.forward(tokens, { logits: 'all' });
  return rows.data();
}

/** Logits of a pass with edited activations. */
function withActivations(model: Model, edit: Record<string, (value: Tensor) => Float32Array>): Float32Array {
  using run = model.run(TOKENS, { edit });
  return run.logits.data();
}

/** What a model computes with edits, after which it must compute what it did before. */
function edited(model: Model, edits: WeightEdits): Float32Array {
  const before = logits(model);
  const during = model.withWeights(edits, () => logits(model));
  expect(logits(model)).toEqual(before);
  return during;
}

const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && a.every((x, i) => Object.is(x, b[i]));

/** The numbers of a tensor with those from index `from` on replaced by zeros, `count` of them. */
const zeroed = (tensor: Tensor, from: number, count: number): Float32Array => tensor.data().fill(0, from, from + count);

/** Zeros in the place of one head, `[H, d, D]`. */
const withoutHead =
  (head: number) =>
  (W: Tensor): Float32Array => {
    const size = W.shape[1] * W.shape[2];
    return zeroed(W, head * size, size);
  };

/** Zeros in the place of one head of `[T, H, d]`. */
const withoutHeadRows =
  (head: number) =>
  (z: Tensor): Float32Array => {
    const [, H, d] = z.shape;
    return z.data().map((x, i) => (Math.floor(i / d) % H === head ? 0 : x));
  };

const named: readonly (readonly [name: string, options: LoadOptions])[] = [
  ['llama_untied', { weights: 'bf16' }],
  ['llama_untied', { weights: 'f32' }],
  ['gpt2', {}],
  ['phi3', {}],
  ['gpt_oss_mxfp4', {}],
  ['deepseek_v3_fp8', {}],
  ['deepseek_v3_fp8', { mla: 'naive' }],
  ['llama_untied', { weights: 'bf16', backend: 'reference' }],
  ['gpt_oss_mxfp4', { backend: 'reference' }],
  ['llama_untied', { weights: 'bf16', backend: 'tensorflow' }],
  ['gpt_oss_mxfp4', { backend: 'tensorflow' }],
];

describe.each(named)('edited weights of %s %o', (name, options) => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder(name), { compute: 'f32', ...options });
  });
  afterAll(() => {
    model.dispose();
  });

  it('zeros in W_O of a head are zeros in its hook_z', () => {
    const during = edited(model, { 'blocks.1.attn.W_O': withoutHead(3) });
    const byActivations = withActivations(model, { 'blocks.1.attn.hook_z': withoutHeadRows(3) });
    expectNear(during, byActivations, 1e-5, 'logits');
    expect(during).not.toEqual(logits(model));
  });

  it('gradients go through the edited weights: there is none in z of a head whose W_O is 0', () => {
    const hook = 'blocks.1.attn.hook_z';
    const largest = (): number => {
      const of = (rows: Tensor): Tensor => rows.slice([0, 0], [1, 1]).sub(rows.slice([0, 1], [1, 1]));
      using taken = model.gradients(TOKENS, { of, at: [hook], rows: 'last' });
      const [, H, d] = taken.grads[hook].shape;
      const ofHead = taken.grads[hook].data().filter((_, i) => Math.floor(i / d) % H === 3);
      return ofHead.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    };
    expect(model.withWeights({ 'blocks.1.attn.W_O': withoutHead(3) }, largest)).toBe(0);
    expect(largest()).toBeGreaterThan(1e-6);
  });

  it('an edit of every weight to what it is changes no bit, and replaces nothing', () => {
    const same = Object.fromEntries(model.weights.names.map((weight) => [weight, (W: Tensor) => W.data()]));
    const live = liveTensors();
    expect(model.withWeights(same, () => [liveTensors(), logits(model)])).toEqual([live, logits(model)]);
  });

  it('edits change what is named, and all other weights stay bit for bit', () => {
    const asIs = (weight: string): Float32Array => Float32Array.from(taken(model.weights.get(weight)).values);
    // The last layer and the ends; of experts two.
    const others = new RegExp(`^blocks\\.(?!${model.config.nLayers - 1}\\.)|\\.experts\\.(?![01]\\.)`);
    const own = model.weights.names.filter((weight) => !others.test(weight));
    const before = new Map(own.map((weight) => [weight, asIs(weight)]));
    for (const weight of own) {
      const wanted = before.get(weight)!.map((x, i) => x + (i % 5) / 3 + 2 ** -20);
      const expected = new Map(before).set(weight, wanted);
      const wrong = model.withWeights({ [weight]: wanted }, () =>
        own.filter((other) => !sameBits(asIs(other), expected.get(other)!)),
      );
      expect(wrong, `other than expected, where ${weight} was edited`).toEqual([]);
    }
    expect(own.filter((weight) => !sameBits(asIs(weight), before.get(weight)!))).toEqual([]);
  });

  it('every edit reaches the logits', () => {
    const before = logits(model);
    // A constant added to all keys moves no score, no expert is chosen by a constant, and not every expert is chosen.
    const idle = /\.b_K$|\.b_router$|\.b_choice$|\.experts\./;
    for (const weight of model.weights.names.filter((one) => !idle.test(one))) {
      const during = model.withWeights({ [weight]: (W) => W.data().map((x, i) => x + (i % 7) / 7) }, () =>
        logits(model),
      );
      expect(during.every(Number.isFinite), weight).toBe(true);
      expect(
        during.some((x, i) => Math.abs(x - before[i]) > 1e-6),
        weight,
      ).toBe(true);
    }
    expect(logits(model)).toEqual(before);
  });
});

describe('edited weights', () => {
  let model: Model;
  beforeAll(async () => {
    model = await load(modelFolder('llama_gqa_tied'), { compute: 'f32' });
  });
  afterAll(() => {
    model.dispose();
  });

  it('a row of W_E is the embedding of its token', () => {
    const { dim: D } = model.config;
    const token = TOKENS[2];
    const row = Float32Array.from({ length: D }, (_, i) => Math.sin(i));
    const edit = (W: Tensor): Float32Array => {
      const numbers = W.data();
      numbers.set(row, token * D);
      return numbers;
    };
    const during = edited(model, { W_E: edit });
    const byActivations = withActivations(model, {
      hook_embed: (x) => {
        const numbers = x.data();
        TOKENS.forEach((one, t) => {
          if (one === token) numbers.set(row, t * D);
        });
        return numbers;
      },
    });
    expectNear(during, byActivations, 1e-6, 'logits');
  });

  it("tied embedding and head are edited apart: an edit of W_E leaves W_U's numbers, and the other way round", () => {
    const { vocabSize: V, dim: D } = model.config;
    const head = taken(model.weights.get('W_U'));
    const zeros = new Float32Array(head.values.length);
    model.withWeights({ W_E: zeros }, () => {
      expect(taken(model.weights.get('W_U'))).toEqual(head);
      expect(taken(model.weights.get('W_E')).values.every((x) => x === 0)).toBe(true);
    });
    expect(edited(model, { W_U: zeros })).toEqual(new Float32Array(TOKENS.length * V));
    model.withWeights({ W_U: zeros }, () => {
      const embedding = taken(model.weights.get('W_E')).values;
      expect(embedding.every((x, i) => x === head.values[(i % D) * V + Math.floor(i / D)])).toBe(true);
    });
  });

  it('a gain of a norm scales what the sub-layer reads', () => {
    const double = (W: Tensor): Tensor => W.mul(2);
    const during = edited(model, { 'blocks.1.ln2.w': double });
    const byActivations = withActivations(model, { 'blocks.1.mlp.hook_in': (x) => x.data().map((v) => 2 * v) });
    expectNear(during, byActivations, 1e-5, 'logits');
  });

  it('edits of one call act in the order of their keys, and each sees those before', () => {
    const name = 'blocks.0.attn.W_Q';
    const before = taken(model.weights.get(name)).values[0];
    model.withWeights({ [name]: (W: Tensor) => W.mul(2), 'blocks.0.attn.W_K': (W: Tensor) => W.mul(3) }, () => {
      model.withWeights({ [name]: (W: Tensor) => W.add(1) }, () => {
        expect(taken(model.weights.get(name)).values[0]).toBe(Math.fround(2 * before + 1));
      });
      expect(taken(model.weights.get(name)).values[0]).toBe(Math.fround(2 * before));
    });
    expect(taken(model.weights.get(name)).values[0]).toBe(before);
  });

  it('the heads of a matrix lie apart: W_Q of one head makes the queries of that head', () => {
    const x = { shape: [1, 64], values: Float64Array.from({ length: 64 }, (_, i) => Math.fround(Math.cos(i))) };
    const W = taken(model.weights.get('blocks.0.attn.W_Q'));
    const other = W.values.slice();
    other.fill(0, 0, W.shape[1] * W.shape[2]);
    const byHand = applied(x, { shape: W.shape, values: other });
    const edit = { 'blocks.0.attn.W_Q': Float32Array.from(other) };
    const read = { 'blocks.0.attn.hook_in': () => Float32Array.from(TOKENS.flatMap(() => [...x.values])) };
    const queries = model.withWeights(edit, () => {
      using run = model.run(TOKENS, { edit: read, capture: ['blocks.0.attn.hook_q'] });
      return run.acts['blocks.0.attn.hook_q'].data();
    });
    expectNear(queries.subarray(0, byHand.values.length), Float32Array.from(byHand.values), 1e-5, 'queries');
    expect(queries.subarray(0, W.shape[2])).toEqual(new Float32Array(W.shape[2]));
  });
});
