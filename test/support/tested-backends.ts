import { afterEach, beforeEach, expect } from 'vitest';
import type { Backend } from '../../src/tensor/backend.ts';
import { BACKEND_NAMES, backendStatus, createBackend } from '../../src/tensor/backends.ts';
import { liveTensors } from '../../src/tensor/tensor.ts';

/** Whether these are the tests of `npm run test:quick`: on the backends that can be used here, and of one model for each kind. */
export const isQuick = process.env.VITRINE_TESTS === 'quick';

/** The names of all backends but `reference-f64`, whose loops are those of `reference`: tests that need f64 name it. */
export const TESTED_BACKENDS = (
  isQuick ? backendStatus().flatMap(({ name, backend }) => (backend === undefined ? [] : [name])) : BACKEND_NAMES
).filter((name) => name !== 'reference-f64');

/** All backends, and TensorFlow with the store for variables that it has on CUDA, which works on every device. */
export const BACKENDS: readonly (readonly [name: string, create: () => Backend])[] = [
  ...TESTED_BACKENDS.map((name) => [name, () => createBackend(name)] as const),
  ...(TESTED_BACKENDS.includes('tensorflow')
    ? [['tensorflow, device variables', () => createBackend('tensorflow', { variables: 'device' })] as const]
    : []),
];

/**
 * In a `describe`: every test must leave as many tensors, and as many of the backend's handles, as it found. A test that failed on the way
 * is not asked: its own error says more.
 */
export function expectNothingLeft(backend: () => Backend): void {
  let before: object;
  beforeEach(() => {
    before = counts(backend());
  });
  afterEach(({ task }) => {
    if (task.result?.state !== 'fail') expect(counts(backend()), 'left after the test').toEqual(before);
  });
}

const counts = (backend: Backend): object => ({ tensors: liveTensors(), handles: backend.liveHandles() });
