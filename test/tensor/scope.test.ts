import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { DisposedError } from '../../src/errors.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { keep, release, scope, scopePath } from '../../src/tensor/scope.ts';
import { liveTensors, Tensor } from '../../src/tensor/tensor.ts';
import { expectNothingLeft } from '../support/tested-backends.ts';

const backend = new ReferenceBackend();
const tensor = (...values: number[]): Tensor => Tensor.from(backend, values);

describe('scope', () => {
  expectNothingLeft(() => backend);

  it('frees what was made inside, also in the middle of nested ones', () => {
    const before = liveTensors();
    scope('outer', () => {
      tensor(1);
      scope('inner', () => {
        tensor(2).add(tensor(3));
        expect(liveTensors()).toBe(before + 4);
      });
      expect(liveTensors()).toBe(before + 1);
    });
    expect(liveTensors()).toBe(before);
  });

  it.each<[string, (x: Tensor) => unknown]>([
    ['alone', (x) => x],
    ['in an array', (x) => [1, x]],
    ['in an object', (x) => ({ x, name: 'x' })],
    ['deep inside', (x) => ({ layers: [{ x }, null, undefined] })],
    ['twice', (x) => [x, x]],
  ])('leaves what the body returns alive: %s', (_, wrap) => {
    let inner!: Tensor;
    let dropped!: Tensor;
    scope('outer', () => {
      scope('inner', () => {
        dropped = tensor(0);
        return wrap((inner = tensor(7)));
      });
      expect([...inner.data()]).toEqual([7]);
      expect(dropped.disposed).toBe(true);
    });
    expect(inner.disposed).toBe(true); // It went to the enclosing scope.
    const outside = scope('', () => tensor(8));
    expect(outside.disposed).toBe(false); // There is none: the caller's.
    outside.dispose();
  });

  it('frees when the body throws, and the scope outside goes on', () => {
    scope('outer', () => {
      const mine = tensor(1);
      expect(() =>
        scope('inner', () => {
          throw new Error(String(tensor(2).data()[0]));
        }),
      ).toThrow('2');
      expect(mine.disposed).toBe(false);
      expect(liveTensors()).toBeGreaterThan(0);
      expect(tensor(3).disposed).toBe(false);
    });
  });

  it('joins the names of nested scopes into the path of a name', () => {
    const paths = (): string[] => [scopePath(), scopePath('hook_z')];
    expect(paths()).toEqual(['', 'hook_z']);
    expect(scope('blocks.0', () => scope('', () => scope('attn', paths)))).toEqual([
      'blocks.0.attn',
      'blocks.0.attn.hook_z',
    ]);
  });

  it('refuses an async body, whose later errors stay its own', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown): number => unhandled.push(reason);
    process.on('unhandledRejection', listen);
    const body = async (): Promise<Tensor> => {
      const x = tensor(1);
      await Promise.resolve();
      return x.add(1); // Freed meanwhile.
    };
    expect(() => scope('blocks.3', body)).toThrow(TypeError);
    expect(() => scope('blocks.3', body)).toThrow('scope "blocks.3": the body is async');
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });

  it('keeps what is kept, and frees it after release', () => {
    const kept = scope('', () => ({
      name: 'hidden from the scope',
      get: (
        (x) => () =>
          x
      )(keep(tensor(1))),
    })).get();
    expect([...kept.data()]).toEqual([1]);
    expect(release(kept).kept).toBe(true); // Nobody to take it.
    scope('', () => {
      scope('', () => kept.add(1));
      expect(kept.disposed).toBe(false);
      scope('', () => void release(kept));
      expect(kept.disposed).toBe(true);
    });
  });

  it('returns a kept tensor without giving it away', () => {
    const kept = scope('', () => scope('', () => keep(tensor(1))));
    expect(kept.disposed).toBe(false);
    kept.dispose();
  });

  it.each<[string, (x: Tensor) => void, string]>([
    [
      'a named scope',
      (x) => {
        scope('blocks.3', () => {
          scope('attn', () => void release(keep(x)));
        });
      },
      'f32 [2] was freed at the end of scope "blocks.3.attn": return it from the scope, or keep() it.',
    ],
    [
      'a scope without a name',
      (x) => {
        scope('', () => void release(keep(x)));
      },
      'f32 [2] was freed at the end of an unnamed scope: return it from the scope, or keep() it.',
    ],
    [
      'dispose',
      (x) => {
        x.dispose();
        x.dispose();
      },
      'f32 [2] was freed by dispose().',
    ],
  ])('an error about a freed tensor says that %s freed it', (_, free, message) => {
    const x = tensor(1, 2);
    free(x);
    const uses = [
      (): unknown => x.data(),
      (): unknown => x.add(1),
      (): unknown => x.reshape([1, 2]),
      (): unknown => x.integers(),
    ];
    for (const use of uses) {
      const error = caught(() => scope('', use));
      expect(error).toBeInstanceOf(DisposedError);
      expect(error.message).toBe(message);
    }
  });
});

describe('a printed tensor', () => {
  it.each<[string, Tensor, string]>([
    ['numbers', tensor(1, -2.5, 0.123456), 'Tensor f32 [3] min -2.5 max 1 mean -0.4588 NaN 0 | 1 -2.5 0.1235'],
    [
      'more than fit',
      Tensor.from(backend, [1, 2, 3, 4, 5, 6], [2, 3]),
      'Tensor f32 [2, 3] min 1 max 6 mean 3.5 NaN 0 | 1 2 3 4 …',
    ],
    ['some NaN', tensor(NaN, 2, 4), 'Tensor f32 [3] min 2 max 4 mean 3 NaN 1 | NaN 2 4'],
    ['only NaN', tensor(NaN, NaN), 'Tensor f32 [2] NaN 2 | NaN NaN'],
    ['an infinity', tensor(-Infinity, 1, 3), 'Tensor f32 [3] min 1 max 3 mean 2 NaN 0 -Infinity 1 | -Infinity 1 3'],
    [
      'infinities',
      tensor(Infinity, -Infinity, Infinity),
      'Tensor f32 [3] NaN 0 -Infinity 1 Infinity 2 | Infinity -Infinity Infinity',
    ],
    ['a scalar', Tensor.from(backend, [1e-9], []), 'Tensor f32 [] min 1e-9 max 1e-9 mean 1e-9 NaN 0 | 1e-9'],
    ['integers', Tensor.from(backend, Int32Array.of(7, 8)), 'Tensor i32 [2] min 7 max 8 mean 7.5 NaN 0 | 7 8'],
    ['bf16', tensor(3.14159).cast('bf16'), 'Tensor bf16 [1] min 3.141 max 3.141 mean 3.141 NaN 0 | 3.141'],
    ['nothing', Tensor.from(backend, [], [0, 4]), 'Tensor f32 [0, 4] empty'],
  ])('is one line, and says when it was freed: %s', (_, x, line) => {
    expect(inspect(x)).toBe(line);
    expect(String(x)).toBe(line);
    expect(inspect({ deep: [x] })).toContain(line);
    const describe = (x as unknown as Record<symbol, () => string>)[Symbol.for('debug.description')].bind(x);
    expect(describe()).toBe(line);
    x.dispose();
    expect(describe()).toMatch(/^Tensor \w+ \[[\d, ]*\] freed by dispose\(\)$/);
    expect(inspect(x)).toMatch(/^Tensor \w+ \[[\d, ]*\] freed$/);
  });
});

function caught(body: () => unknown): Error {
  try {
    body();
  } catch (error) {
    return error as Error;
  }
  return expect.fail('expected an error');
}
