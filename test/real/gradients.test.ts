import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { attributionPatching, load, type Model, type Tensor } from '../../src/index.ts';
import { convertedModelFolder } from '../../src/loader/default-model.ts';
import { openSafetensors } from '../../src/loader/safetensors/open-safetensors.ts';

/** What PyTorch computes for a pair of prompts: see `test/fixtures/interp`. */
const PAIR = new URL('../fixtures/interp/pairs/store', import.meta.url).pathname;
const pair = JSON.parse(readFileSync(`${PAIR}.json`, 'utf8')) as {
  readonly clean: string;
  readonly corrupt: string;
  readonly answer_id: number;
  readonly wrong_id: number;
  readonly clean_difference: number;
  readonly corrupt_difference: number;
  readonly gradient_layers: readonly number[];
  readonly atp_correlation: Readonly<Record<string, number>>;
};

const HOOKS = {
  resid_pre: 'hook_resid_pre',
  attn_out: 'hook_attn_out',
  mlp_out: 'hook_mlp_out',
  z: 'attn.hook_z',
} as const;

const of = (logits: Tensor): Tensor =>
  logits.slice([0, pair.answer_id], [1, 1]).sub(logits.slice([0, pair.wrong_id], [1, 1]));

const largest = (a: Float32Array): number => a.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
const distance = (a: Float32Array, b: Float32Array): number =>
  a.length === b.length ? largest(a.map((x, i) => x - b[i])) : NaN;

function correlation(a: Float32Array, b: Float32Array): number {
  const centred = [a, b].map((x) => {
    const mean = x.reduce((sum, y) => sum + y, 0) / x.length;
    return Array.from(x, (y) => y - mean);
  });
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, z, i) => sum + z * y[i], 0);
  const [x, y] = centred;
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

describe('the gradients of a logit difference on SmolLM2-135M-Instruct', () => {
  let model: Model;
  const expected = new Map<string, Float32Array>();
  beforeAll(async () => {
    model = await load(convertedModelFolder(), { backend: 'tensorflow' });
    const file = await openSafetensors(`${PAIR}.safetensors`);
    for (const name of file.tensors.keys()) expected.set(name, (await file.read(name)).toFloat32());
    await file.close();
    return () => {
      model.dispose();
    };
  });

  it.each(Object.entries(HOOKS))('are those of PyTorch at %s', (kind, hook) => {
    const name = `blocks.*.${hook}`;
    using taken = model.gradients(pair.corrupt, { of, at: [name], rows: 'last' });
    expect(Math.abs(taken.value - pair.corrupt_difference)).toBeLessThan(2e-3);
    const { shape } = taken.grads[name];
    const numbers = taken.grads[name].data();
    const size = numbers.length / shape[0];
    const wanted = expected.get(`gradient_${kind}`)!;
    const chosen = new Float32Array(wanted.length);
    pair.gradient_layers.forEach((layer, i) => {
      chosen.set(numbers.subarray(layer * size, (layer + 1) * size), i * size);
    });
    expect(distance(chosen, wanted)).toBeLessThan(1e-4 * largest(wanted));
    expect(distance(norms(numbers, shape), expected.get(`gradient_norm_${kind}`)!)).toBeLessThan(
      1e-4 * largest(expected.get(`gradient_norm_${kind}`)!),
    );
  });

  it('estimate patching as PyTorch does, and as well', () => {
    const { clean, corrupt, grids } = attributionPatching(model, { clean: pair.clean, corrupt: pair.corrupt, of });
    expect(Math.abs(clean - pair.clean_difference)).toBeLessThan(2e-3);
    expect(Math.abs(corrupt - pair.corrupt_difference)).toBeLessThan(2e-3);
    for (const [kind, hook] of Object.entries(HOOKS)) {
      const wanted = expected.get(`atp_${kind}`)!;
      const { values, columns } = grids[hook];
      expect(columns).toBe(kind === 'z' ? 'head' : 'position');
      expect(distance(values, wanted), kind).toBeLessThan(1e-3 * Math.max(1, largest(wanted)));
      const effects = expected.get(`patch_${kind}`)!.map((value) => value - pair.corrupt_difference);
      expect(Math.abs(correlation(values, effects) - pair.atp_correlation[kind]), kind).toBeLessThan(1e-3);
    }
  });
});

/** Euclidean norms of `[L, T, D]` by layer and position, of `[L, T, H, e]` by layer and head. */
function norms(numbers: Float32Array, shape: readonly number[]): Float32Array {
  const [L, T, columns, width = 0] = shape;
  const sums = new Float64Array(L * (width > 0 ? columns : T));
  numbers.forEach((x, i) => {
    const row = Math.floor(i / columns);
    const place = Math.floor(i / width);
    const head = Math.floor(place / (T * columns)) * columns + (place % columns);
    sums[width > 0 ? head : row] += x * x;
  });
  return Float32Array.from(sums, Math.sqrt);
}
