import { describe, expect, it } from 'vitest';
import { backendOption } from '../../src/cli/flags.ts';
import { LOAD_CHECKS } from '../../src/engine/load/load-options.ts';
import { BACKEND_NAMES, backendStatus, createBackend, isReference } from '../../src/tensor/backends.ts';
import { scope } from '../../src/tensor/scope.ts';
import { Tensor } from '../../src/tensor/tensor.ts';
import { Variable } from '../../src/tensor/variable.ts';

describe('the list of backends', () => {
  it('is what `load` and the option --backend accept', () => {
    expect(LOAD_CHECKS.backend.words).toBe(
      `"auto", ${BACKEND_NAMES.slice(0, -1)
        .map((name) => `"${name}"`)
        .join(', ')} or "${BACKEND_NAMES.at(-1)}"`,
    );
    for (const name of BACKEND_NAMES) expect(LOAD_CHECKS.backend.holds(name)).toBe(true);
    expect(LOAD_CHECKS.backend.holds('abacus')).toBe(false);
    expect(backendOption().argChoices).toEqual(['auto', ...BACKEND_NAMES]);
  });

  it('gives each backend by its name, and the same one when asked again', () => {
    for (const name of BACKEND_NAMES) {
      const backend = createBackend(name);
      expect(backend.name).toBe(name);
      expect(createBackend(name)).toBe(backend);
    }
    expect(backendStatus().map(({ name }) => name)).toEqual(BACKEND_NAMES);
  });

  it('begins with the backend that `auto` is, and has references, which compute on one thread', () => {
    expect(createBackend('auto')).toBe(createBackend(BACKEND_NAMES[0]));
    const references = BACKEND_NAMES.filter(isReference);
    expect(references).toEqual(['reference', 'reference-f64']);
    for (const name of references) expect(createBackend(name)).toMatchObject({ name, threads: 1, queuesOps: false });
  });

  it('reference-f64 keeps the digits of f64, and reads them out', () => {
    const backend = createBackend('reference-f64');
    scope('', () => {
      const x = Tensor.from(backend, Float64Array.of(1 / 3, 1 + 1e-12));
      expect([...x.data64()]).toEqual([1 / 3, 1 + 1e-12]);
      expect([
        ...x
          .clone()
          .sub(1 / 3)
          .data64(),
      ]).toEqual([0, 1 + 1e-12 - 1 / 3]);
      expect([...x.data()]).toEqual([Math.fround(1 / 3), 1]);
      expect([...x.cast('bf16').data64()]).toEqual([0.333984375, 1]);
      const store = new Variable(backend, [1, 2]);
      store.write([0, 0], x.reshape([1, 2]));
      expect([...store.read().data64()]).toEqual([1 / 3, 1 + 1e-12]);
      store.dispose();
    });
  });
});
