import { describe, expect, it } from 'vitest';
import { type Edit, Editor } from '../../src/hooks/editor.ts';
import { HookError } from '../../src/hooks/hook-error.ts';
import { registryOf } from '../../src/hooks/hook-registry.ts';
import type { Hook, HookPoint } from '../../src/tensor/hook-point.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { scope } from '../../src/tensor/scope.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { expectNothingLeft } from '../support/tested-backends.ts';

const backend = new ReferenceBackend();
const hook = (name: string, layer?: number, more: Partial<HookPoint> = {}): Hook => ({
  name,
  axes: 'p',
  meaning: '',
  layer,
  ...more,
});
const HOOKS = registryOf([
  hook('out'),
  hook('ids', undefined, { idsBelow: 10 }),
  hook('rows'),
  hook('blocks.2.weights', 2, { zerosBy: ['chosen', 'scores'] }),
  hook('blocks.2.entropy', 2, { readOnly: { instead: ['pattern'], or: 'nothing' } }),
  hook('total', undefined, { readOnly: { instead: ['out'] } }),
  hook('sampler.hook_token'),
]);

/** What an edit makes of numbers; undefined where the pass goes on with them as they are. */
function edited(name: string, numbers: Float32Array | Int32Array, edit: Edit | Record<string, Edit>) {
  const editor = new Editor(typeof edit === 'function' ? { [name]: edit } : edit, HOOKS);
  return scope('', () => editor.visit(name, Tensor.from(backend, numbers, [numbers.length]))?.data());
}

describe('an edit', () => {
  expectNothingLeft(() => backend);

  const ONE_TWO = Float32Array.of(1, 2);

  it.each<[string, Edit]>([
    ['nothing', () => undefined],
    ['the tensor itself', (value) => value],
    ['a copy of it', (value) => value.clone()],
    ['its numbers', (value) => value.data()],
  ])('that gives back %s leaves the pass as it is', (_, edit) => {
    expect(edited('out', ONE_TWO, edit)).toBeUndefined();
    expect(edited('ids', Int32Array.of(1, 2), edit)).toBeUndefined();
  });

  it('counts from the sign of a zero on', () => {
    expect(edited('out', Float32Array.of(0), () => Float32Array.of(-0))).toEqual(Float32Array.of(-0));
  });

  it('takes ids as whole numbers of any type', () => {
    expect(edited('ids', Int32Array.of(1, 2), () => Float32Array.of(1, 2))).toBeUndefined();
    expect(edited('ids', Int32Array.of(1, 2), () => Float32Array.of(0, 9))).toEqual(Float32Array.of(0, 9));
    expect(edited('ids', Int32Array.of(1, 2), () => Int32Array.of(0, 9))).toEqual(Float32Array.of(0, 9));
    const most = 2 ** 31 - 128; // The largest whole number below 2^31 that f32 holds.
    expect(edited('rows', Int32Array.of(1), () => Float32Array.of(most))).toEqual(Float32Array.of(most));
  });

  it('of ids gives integers, also where a tensor of floats was given back', () => {
    using ids = Tensor.from(backend, Int32Array.of(1, 2), [2]);
    using floats = Tensor.from(backend, Float32Array.of(3, 4), [2]);
    using used = new Editor({ ids: () => floats }, HOOKS).visit('ids', ids);
    expect([used?.dtype, ...(used?.data() ?? [])]).toEqual(['i32', 3, 4]);
  });

  it('is made after another of the same activation, in the order of their keys', () => {
    const edits = { ou: (x: Tensor) => x.mul(0), 'o*': (x: Tensor) => x.mul(10), out: (x: Tensor) => x.add(1) };
    const { 'o*': wide, out } = edits;
    expect(edited('out', ONE_TWO, { 'o*': wide, out })).toEqual(Float32Array.of(11, 21));
    expect(edited('out', ONE_TWO, { out, 'o*': wide })).toEqual(Float32Array.of(20, 30));
  });

  it('is not asked about an activation without numbers', () => {
    expect(edited('out', new Float32Array(), () => expect.fail('it was asked'))).toBeUndefined();
  });

  it.each<[string, string, Float32Array | Int32Array, Edit, string]>([
    [
      'too many numbers',
      'out',
      ONE_TWO,
      () => new Float32Array(3),
      'edit of out: expected f32 [2] in return, got f32 [3].',
    ],
    [
      'another shape',
      'out',
      ONE_TWO,
      (x) => x.reshape([2, 1]),
      'edit of out: expected f32 [2] in return, got f32 [2, 1].',
    ],
    ['integers', 'out', ONE_TWO, () => new Int32Array(2), 'edit of out: expected f32 [2] in return, got i32 [2].'],
    [
      'an id that is none',
      'ids',
      Int32Array.of(1, 2),
      () => Int32Array.of(1, 10),
      'edit of ids: expected whole numbers from 0 to 9, got 10 (number 1).',
    ],
    [
      'a negative id',
      'ids',
      Int32Array.of(1, 2),
      () => Float32Array.of(-1, 2),
      'edit of ids: expected whole numbers from 0 to 9, got -1 (number 0).',
    ],
    [
      'half an id',
      'ids',
      Int32Array.of(1, 2),
      () => Float32Array.of(1, 0.5),
      'edit of ids: expected whole numbers from 0 to 9, got 0.5 (number 1).',
    ],
    [
      'a row beyond 32 bits',
      'rows',
      Int32Array.of(1),
      () => Float32Array.of(2 ** 31),
      'edit of rows: expected whole numbers from 0 to 2147483647, got 2147483648 (number 0).',
    ],
    [
      'a number where there was 0',
      'blocks.2.weights',
      Float32Array.of(0, 1),
      () => Float32Array.of(3, 1),
      'edit of blocks.2.weights: expected 0 where it was 0, got 3 (number 0). To choose otherwise, edit blocks.2.chosen or blocks.2.scores.',
    ],
  ])('that gives back %s is refused', (_, name, numbers, edit, message) => {
    const attempt = () => edited(name, numbers, edit);
    expect(attempt).toThrow(HookError);
    expect(attempt).toThrow(message);
  });

  it('may change or clear what is not 0', () => {
    expect(edited('blocks.2.weights', Float32Array.of(0, 1), () => Float32Array.of(0, 2))).toEqual(
      Float32Array.of(0, 2),
    );
    expect(edited('blocks.2.weights', Float32Array.of(0, 1), () => Float32Array.of(0, 0))).toEqual(
      Float32Array.of(0, 0),
    );
  });

  it('that gives back a tensor of elsewhere, or a freed one, is refused', () => {
    using other = Tensor.from(new ReferenceBackend(), [3, 4]);
    expect(() => edited('out', ONE_TWO, () => other)).toThrow(/^edit of out: the tensor lies in another backend/);
    const freed: Edit = (value) => {
      const copy = value.clone();
      copy.dispose();
      return copy;
    };
    expect(() => edited('out', ONE_TWO, freed)).toThrow(
      'edit of out: expected f32 [2] in return, got a tensor that was freed.',
    );
  });

  it('is refused where it could change nothing, before the pass', () => {
    const never: Edit = () => expect.fail('it was called');
    const make = (name: string) => () => new Editor({ [name]: never }, HOOKS);
    expect(make('blocks.2.entropy')).toThrow(
      /^edit of blocks\.2\.entropy: .*\. Edit blocks\.2\.pattern instead, or nothing\.$/,
    );
    expect(make('blocks.2.*')).toThrow(/^edit of blocks\.2\.entropy, which "blocks\.2\.\*" takes in: /);
    expect(make('total')).toThrow(/^edit of total: .*\. Edit out instead\.$/);
    expect(() => new Editor({ out: 3 as unknown as Edit }, HOOKS)).toThrow(
      'edit of out: expected a function of the activation, got number.',
    );
  });

  it('of the sampler acts in no pass', () => {
    const edit: Edit = () => undefined;
    expect(new Editor({ 'sampler.hook_token': edit }, HOOKS).actsInPasses).toBe(false);
    expect(new Editor({ 'sampler.hook_token': edit, out: edit }, HOOKS).actsInPasses).toBe(true);
  });
});
