import { beforeAll, describe, expect, it } from 'vitest';
import { attributionPatching, load, logitDifference, type Model } from '../../src/index.ts';
import { convertedModelFolder } from '../../src/loader/default-model.ts';
import { pair } from './interp-values.ts';

const HOOKS = {
  resid_pre: 'hook_resid_pre',
  attn_out: 'hook_attn_out',
  mlp_out: 'hook_mlp_out',
  z: 'attn.hook_z',
} as const;

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
  beforeAll(async () => {
    model = await load(convertedModelFolder(), { backend: 'tensorflow' });
    return () => {
      model.dispose();
    };
  });

  it.each(Object.entries(HOOKS))('are those of PyTorch at %s', (kind, hook) => {
    const name = `blocks.*.${hook}`;
    const of = logitDifference(model, pair.answer, pair.wrong);
    using taken = model.gradients(pair.corrupt, { of, at: [name], rows: 'last' });
    expect(Math.abs(taken.value - pair.corruptDifference)).toBeLessThan(2e-3);
    const { shape } = taken.grads[name];
    const numbers = taken.grads[name].data();
    const size = numbers.length / shape[0];
    const wanted = pair.floats(`gradient_${kind}`);
    const chosen = new Float32Array(wanted.length);
    pair.gradientLayers.forEach((layer, i) => {
      chosen.set(numbers.subarray(layer * size, (layer + 1) * size), i * size);
    });
    expect(distance(chosen, wanted)).toBeLessThan(1e-4 * largest(wanted));
    expect(distance(norms(numbers, shape), pair.floats(`gradient_norm_${kind}`))).toBeLessThan(
      1e-4 * largest(pair.floats(`gradient_norm_${kind}`)),
    );
  });

  it('estimate patching as PyTorch does, and as well', () => {
    const of = logitDifference(model, pair.answer, pair.wrong);
    const { clean, corrupt, grids } = attributionPatching(model, { clean: pair.clean, corrupt: pair.corrupt, of });
    expect(Math.abs(clean - pair.cleanDifference)).toBeLessThan(2e-3);
    expect(Math.abs(corrupt - pair.corruptDifference)).toBeLessThan(2e-3);
    for (const [kind, hook] of Object.entries(HOOKS)) {
      const wanted = pair.floats(`atp_${kind}`);
      const { values, columns } = grids[hook];
      expect(columns).toBe(kind === 'z' ? 'head' : 'position');
      expect(distance(values, wanted), kind).toBeLessThan(1e-3 * Math.max(1, largest(wanted)));
      const effects = pair.floats(`patch_${kind}`).map((value) => value - pair.corruptDifference);
      expect(Math.abs(correlation(values, effects) - pair.correlation[kind]), kind).toBeLessThan(1e-3);
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
