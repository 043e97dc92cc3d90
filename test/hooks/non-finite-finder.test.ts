import { describe, expect, it } from 'vitest';
import { NonFiniteFinder } from '../../src/hooks/non-finite-finder.ts';
import { registryOf } from '../../src/hooks/hook-registry.ts';
import type { Hook } from '../../src/tensor/hook-point.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import type { Observer } from '../../src/tensor/tap.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { expectNothingLeft } from '../support/tested-backends.ts';

const backend = new ReferenceBackend();
const HOOKS: Hook[] = [
  { name: 'out', axes: 'p d', meaning: '', layer: undefined },
  { name: 'scores', axes: 'h p t', meaning: '', layer: 1, hidden: -Infinity },
  { name: 'sinks', axes: 'h', meaning: '', layer: 1, hidden: -Infinity },
  { name: 'entropy', axes: 'p d', meaning: '', layer: 1, derived: true },
];

/** What is found in activations, shown in their order to a model whose layer 1 has a window of `window` keys. */
function found(
  shown: readonly [name: string, shape: number[], numbers: number[]][],
  window = Infinity,
  edit?: Observer,
) {
  const finder = new NonFiniteFinder(registryOf(HOOKS), [Infinity, window], edit);
  for (const [name, shape, numbers] of shown) {
    using value = Tensor.from(backend, Float32Array.from(numbers), shape);
    let used: Tensor = value;
    for (const observer of finder.observers) if (observer.wants(name)) used = observer.visit(name, used) ?? used;
    if (used !== value) used.dispose();
  }
  const { hook, ...where } = finder.found ?? {};
  return hook && { hook: hook.name, ...where };
}

describe('the first number that is not finite', () => {
  expectNothingLeft(() => backend);

  it('is told by hook, value and place', () => {
    expect(found([['out', [2, 3], [0, 1, 2, 3, 4, 5]]])).toBeUndefined();
    expect(found([['out', [2, 3], [0, 1, 2, 3, NaN, Infinity]]])).toEqual({
      hook: 'out',
      value: NaN,
      at: [1, 1],
      byEdit: false,
    });
    expect(
      found([
        ['out', [2, 3], [0, 1, 2, 3, 4, -Infinity]],
        ['out', [1, 1], [NaN]],
      ]),
    ).toEqual({ hook: 'out', value: -Infinity, at: [1, 2], byEdit: false });
  });

  it('is not looked for in what is computed from other activations, nor in what the model does not have', () => {
    expect(
      found([
        ['entropy', [1, 1], [NaN]],
        ['other', [1, 1], [NaN]],
      ]),
    ).toBeUndefined();
  });

  // Two heads, the queries at positions 1 and 2, keys 0 to 2.
  const masked = [0, 0, -Infinity, 0, 0, 0];
  const windowed = [0, 0, -Infinity, -Infinity, 0, 0];
  it.each<[string, number[], number, number[] | undefined]>([
    ['later keys are hidden', [...masked, ...masked], Infinity, undefined],
    ['keys before the window are hidden', [...windowed, ...windowed], 2, undefined],
    ['a window of 3 sees them all', [...masked, ...windowed], 3, [1, 1, 0]],
    ['without a window none is before it', [...windowed, ...masked], Infinity, [0, 1, 0]],
    ['the query sees itself', [...masked, 0, -Infinity, -Infinity, 0, 0, 0], Infinity, [1, 0, 1]],
    ['Infinity is never hidden', [...masked, 0, 0, Infinity, 0, 0, 0], Infinity, [1, 0, 2]],
    ['NaN is never hidden', [0, 0, NaN, 0, 0, 0, ...masked], Infinity, [0, 0, 2]],
  ])('-Infinity of scores counts where a query sees the key: %s', (_, numbers, window, at) => {
    expect(found([['scores', [2, 2, 3], numbers]], window)?.at).toEqual(at);
  });

  it('-Infinity of a sink that takes nothing does not count', () => {
    expect(found([['sinks', [2], [0, -Infinity]]])).toBeUndefined();
    expect(found([['sinks', [2], [0, Infinity]]])).toMatchObject({ value: Infinity, at: [1] });
  });

  it('is an edit where one put it there', () => {
    const edit = (from: number): Observer => ({
      wants: (name) => name === 'out',
      visit: (_, value) => Tensor.from(backend, Float32Array.of(0, from), value.shape),
    });
    expect(found([['out', [1, 2], [0, 1]]], Infinity, edit(NaN))).toMatchObject({ at: [0, 1], byEdit: true });
    expect(found([['out', [1, 2], [NaN, 1]]], Infinity, edit(NaN))).toMatchObject({ at: [0, 0], byEdit: false });
    expect(found([['out', [1, 2], [0, 1]]], Infinity, edit(2))).toBeUndefined();
  });
});
