import { describe, expect, it } from 'vitest';
import { Recorder } from '../../src/hooks/recorder.ts';
import { registryOf } from '../../src/hooks/hook-registry.ts';
import type { Hook, HookPoint } from '../../src/tensor/hook-point.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { expectNothingLeft } from '../support/tested-backends.ts';

const backend = new ReferenceBackend();

/** Rows of numbers as a tensor; `Int32Array` where they are ids. */
const tensor = (numbers: readonly number[] | Int32Array, shape: readonly number[]): Tensor =>
  Tensor.from(backend, numbers instanceof Int32Array ? numbers : Float32Array.from(numbers), shape);

/** What a recorder makes of an activation that the passes of a prompt show one after the other. */
function recorded(point: Partial<HookPoint>, chunks: readonly { rows: number; value: Tensor }[]): Recorded {
  const hook: Hook = { name: 'hook', axes: 'p d', meaning: '', layer: undefined, ...point };
  const recorder = new Recorder(['hook'], registryOf([hook]));
  for (const { rows, value } of chunks) {
    recorder.visit('hook', value);
    recorder.endChunk(rows);
    value.dispose();
  }
  const { hook: whole } = recorder.take();
  const result = { shape: whole.shape, numbers: [...whole.data()] };
  whole.dispose();
  return result;
}

interface Recorded {
  readonly shape: readonly number[];
  readonly numbers: readonly number[];
}

describe('an activation of a prompt in two chunks, of two rows and of one', () => {
  expectNothingLeft(() => backend);

  it('of one row for each position is put end to end', () => {
    const chunks = [
      { rows: 2, value: tensor([1, 2, 3, 4], [2, 2]) },
      { rows: 1, value: tensor([5, 6], [1, 2]) },
    ];
    expect(recorded({ axes: 'p d' }, chunks)).toEqual({ shape: [3, 2], numbers: [1, 2, 3, 4, 5, 6] });
  });

  it.each([0, -Infinity])('of heads, positions and keys has %d at keys that come later', (hidden) => {
    const chunks = [
      { rows: 2, value: tensor([1, hidden, 3, 4, 5, hidden, 7, 8], [2, 2, 2]) },
      { rows: 1, value: tensor([10, 11, 12, 13, 14, 15], [2, 1, 3]) },
    ];
    expect(recorded({ axes: 'h p t', ...(hidden !== 0 && { hidden }) }, chunks)).toEqual({
      shape: [2, 3, 3],
      numbers: [1, hidden, hidden, 3, 4, hidden, 10, 11, 12, 5, hidden, hidden, 7, 8, hidden, 13, 14, 15],
    });
  });

  it('of all keys has each as the chunk saw it that was the first to', () => {
    const chunks = [
      { rows: 2, value: tensor([1, 2, 3, 4], [2, 1, 2]) },
      { rows: 1, value: tensor([9, 9, 9, 9, 5, 6], [3, 1, 2]) },
    ];
    expect(recorded({ axes: 't g e' }, chunks)).toEqual({ shape: [3, 1, 2], numbers: [1, 2, 3, 4, 5, 6] });
  });

  it('of rows that chose an expert counts them through the prompt', () => {
    const chunks = [
      { rows: 2, value: tensor(Int32Array.of(1), [1]) },
      { rows: 1, value: tensor(Int32Array.of(0), [1]) },
    ];
    expect(recorded({ axes: 'n', holdsRows: true }, chunks)).toEqual({ shape: [2], numbers: [1, 2] });
  });

  it('of an expert has the rows of those chunks that chose it', () => {
    const none = () => ({ rows: 2, value: tensor([], [0, 2]) });
    const one = { rows: 1, value: tensor([5, 6], [1, 2]) };
    expect(recorded({ axes: 'n f' }, [none(), one])).toEqual({ shape: [1, 2], numbers: [5, 6] });
    expect(recorded({ axes: 'n f' }, [none(), none()])).toEqual({ shape: [0, 2], numbers: [] });
  });

  it.each(['l V', 'h'])('of axes %s, which no chunk adds to, is the last', (axes) => {
    const shape = axes === 'h' ? [2] : [1, 2];
    const chunks = [
      { rows: 2, value: tensor([1, 2], shape) },
      { rows: 1, value: tensor([3, 4], shape) },
    ];
    expect(recorded({ axes }, chunks)).toEqual({ shape, numbers: [3, 4] });
  });
});

describe('a recorder', () => {
  expectNothingLeft(() => backend);

  const hooks = [0, 1].map((layer): Hook => ({
    name: `blocks.${layer}.hook_a`,
    axes: 'n',
    meaning: '',
    layer,
    holdsRows: true,
  }));

  it('stacks the layers of a glob, and begins a new text when it has handed over', () => {
    const recorder = new Recorder(['blocks.*.hook_a', 'blocks.1.hook_a'], registryOf(hooks));
    for (let text = 0; text < 2; text++) {
      for (const { name, layer } of hooks) {
        using value = tensor(Int32Array.of(layer!, 2), [2]);
        recorder.visit(name, value);
      }
      recorder.endChunk(3);
      const acts = recorder.take();
      expect(Object.entries(acts).map(([name, value]) => [name, value.shape, [...value.data()]])).toEqual([
        ['blocks.*.hook_a', [2, 2], [0, 2, 1, 2]],
        ['blocks.1.hook_a', [2], [1, 2]],
      ]);
      for (const value of Object.values(acts)) value.dispose();
    }
    expect(recorder.take()).toEqual({});
  });

  it('wants what it was asked for, and frees what nobody takes', () => {
    const recorder = new Recorder(['blocks.1.hook_a'], registryOf(hooks));
    expect(hooks.map(({ name }) => recorder.wants(name))).toEqual([false, true]);
    using value = tensor(Int32Array.of(1), [1]);
    recorder.visit('blocks.1.hook_a', value);
    recorder.discard();
    expect(recorder.take()).toEqual({});
  });
});
