import { describe, expect, it } from 'vitest';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { scope } from '../../src/tensor/scope.ts';
import { derive, observe, observed, type Observer, tap, watched } from '../../src/tensor/tap.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { expectNothingLeft } from '../support/tested-backends.ts';

const backend = new ReferenceBackend();
const tensor = (value: number): Tensor => Tensor.from(backend, [value]);

type Answers = Readonly<Record<string, (x: Tensor) => Tensor | undefined>>;

/** An observer of the taps that `answers` names, which notes in `seen` what it is shown. */
const observer = (answers: Answers, seen: string[] = []): Observer & { seen: string[] } => ({
  seen,
  wants: (name) => name in answers,
  visit: (name, value) => {
    seen.push(`${name} = ${String(value.data()[0])}`);
    return answers[name](value);
  },
});
const leaves = (): undefined => undefined;

const forward = (): number =>
  scope('blocks.0', () => {
    const x = tap('hook_in', tensor(1));
    const y = scope('attn', () => scope('', () => tap('hook_z', x.add(1))));
    derive('hook_sum', () => x.add(y));
    return tap('hook_out', y.mul(10)).data()[0];
  });

describe('tap', () => {
  expectNothingLeft(() => backend);

  it('names an activation by the path of its scopes, and shows it only to an observer that wants it', () => {
    const one = observer({ 'blocks.0.attn.hook_z': leaves, 'blocks.0.hook_out': leaves });
    const none = observer({ hook_z: leaves });
    expect(observe([one, none], forward)).toBe(20);
    expect(one.seen).toEqual(['blocks.0.attn.hook_z = 2', 'blocks.0.hook_out = 20']);
    expect(none.seen).toEqual([]);
  });

  it('gives back what an observer replaces the value with, and frees it with its scope', () => {
    const one = observer({
      'blocks.0.hook_in': (x) => x.mul(5),
      'blocks.0.attn.hook_z': (x) => x,
    });
    expect(observe([one], forward)).toBe(60);
    expect(one.seen).toEqual(['blocks.0.hook_in = 1', 'blocks.0.attn.hook_z = 6']);
  });

  it('shows each observer, in the order of the list, what the one before left', () => {
    const seen: string[] = [];
    const looks = observer({ 'blocks.0.hook_in': leaves }, seen);
    const doubles = observer({ 'blocks.0.hook_in': (x) => x.mul(2) }, seen);
    const adds = observer({ 'blocks.0.hook_in': (x) => x.add(1), 'blocks.0.hook_out': leaves }, seen);
    expect(observe([looks, doubles, looks, adds, looks], forward)).toBe(40);
    const shown = [1, 1, 2, 2, 3].map((value) => `blocks.0.hook_in = ${value}`);
    expect(seen).toEqual([...shown, 'blocks.0.hook_out = 40']);
  });

  it('ends the pass where an observer throws, and frees its tensors', () => {
    const throws = {
      wants: () => true,
      visit: (): never => {
        throw new Error('breakpoint');
      },
    };
    expect(() => observe([throws], forward)).toThrow('breakpoint');
    expect(forward()).toBe(20);
  });
});

describe('derive', () => {
  expectNothingLeft(() => backend);

  it('computes a value only where an observer wants it', () => {
    const make = (): Tensor => expect.fail('nobody asked');
    const derived = (): void => {
      derive('hook_sum', make);
    };
    derived();
    observe([], derived);
    observe([observer({}), observer({ hook_other: leaves })], derived);
  });

  it('computes the value once, shows it to each observer that wants it, and ignores their answers', () => {
    const one = observer({ 'blocks.0.hook_sum': (x) => x.mul(100) });
    const two = observer({ 'blocks.0.hook_sum': leaves, 'blocks.0.hook_out': leaves });
    expect(observe([one, observer({}), two], forward)).toBe(20);
    expect([one.seen, two.seen]).toEqual([
      ['blocks.0.hook_sum = 3'],
      ['blocks.0.hook_sum = 3', 'blocks.0.hook_out = 20'],
    ]);
    let count = 0;
    const counted = (): Tensor => tensor(++count);
    observe([one, two], () => {
      scope('blocks.0', () => {
        derive('hook_sum', counted);
      });
    });
    expect(count).toBe(1);
  });
});

describe('watched', () => {
  it('says whether an observer wants the tap of that full name', () => {
    const asked = (): boolean[] => scope('ln1', () => [watched('hook_scale'), watched('hook_normalized')]);
    expect(asked()).toEqual([false, false]);
    expect(observe([observer({}), observer({ 'ln1.hook_scale': leaves })], asked)).toEqual([true, false]);
    expect(observe([observer({ hook_scale: leaves })], asked)).toEqual([false, false]);
  });
});

describe('observe', () => {
  expectNothingLeft(() => backend);

  it('runs the body with exactly its observers, and gives the outer ones back, also after an error', () => {
    const outer = observer({ hook_out: leaves });
    const inner = observer({ hook_out: leaves });
    const show = (value: number) => (): void => {
      scope('', () => void tap('hook_out', tensor(value)));
    };
    observe([outer], () => {
      observe([inner], show(1));
      observe([], show(2));
      expect(() =>
        observe([inner], () => {
          throw new Error('stop');
        }),
      ).toThrow('stop');
      show(3)();
    });
    show(4)();
    expect([outer.seen, inner.seen]).toEqual([['hook_out = 3'], ['hook_out = 1']]);
  });

  it('lets an observer run a pass of its own, which the list it is in does not see', () => {
    const seen: string[] = [];
    const last = observer({ 'blocks.0.hook_out': leaves }, seen);
    const runsAnother = observer({ 'blocks.0.hook_in': () => tensor(observe([observer({})], forward)) }, seen);
    expect(observe([runsAnother, last], forward)).toBe(210);
    expect(seen).toEqual(['blocks.0.hook_in = 1', 'blocks.0.hook_out = 210']);
  });

  it('says by `observed` whether there are observers', () => {
    expect([observed(), observe([], observed), observe([observer({})], observed), observed()]).toEqual([
      false,
      false,
      true,
      false,
    ]);
  });
});
