import { describe } from 'vitest';
import { BACKENDS, expectNothingLeft } from '../support/backends.ts';
import { primitives } from './conformance/primitives.ts';

describe.each(BACKENDS)('%s', (_, create) => {
  const backend = create();
  expectNothingLeft(backend);
  describe('primitives', () => {
    primitives(backend);
  });
});
