import { afterEach, beforeEach, expect } from 'vitest';
import type { Backend } from '../../src/tensor/backend.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { liveTensors } from '../../src/tensor/tensor.ts';
import { TensorflowBackend } from '../../src/tensor/tensorflow/tensorflow-backend.ts';

/** What the tests hold to one contract; `device variables` is the store that CUDA uses, on whatever device there is. */
export const BACKENDS: readonly (readonly [name: string, create: () => Backend])[] = [
  ['reference', () => new ReferenceBackend()],
  ['tensorflow', () => new TensorflowBackend()],
  ['tensorflow, device variables', () => new TensorflowBackend({ variables: 'device' })],
];

/** In a `describe`: every test leaves as many tensors, and as many of the backend's handles, as it found. */
export function expectNothingLeft(backend: () => Backend): void {
  let before: object;
  beforeEach(() => {
    before = counts(backend());
  });
  afterEach(() => {
    expect(counts(backend()), 'left after the test').toEqual(before);
  });
}

const counts = (backend: Backend): object => ({ tensors: liveTensors(), handles: backend.liveHandles() });
