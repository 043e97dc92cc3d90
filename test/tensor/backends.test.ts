import { describe, expect, it } from 'vitest';
import { backendOption } from '../../src/cli/flags.ts';
import { LOAD_CHECKS } from '../../src/engine/load/load-options.ts';
import { BACKEND_NAMES, backendStatus, createBackend, isReference } from '../../src/tensor/backends.ts';

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

  it('begins with the backend that `auto` is, and has one reference, which computes on one thread', () => {
    expect(createBackend('auto')).toBe(createBackend(BACKEND_NAMES[0]));
    const references = BACKEND_NAMES.filter(isReference);
    expect(references).toEqual(['reference']);
    expect(createBackend('reference')).toMatchObject({ threads: 1, queuesOps: false });
  });
});
