import { describe, expect, it } from 'vitest';
import type { Backend, FusedKernels } from '../../src/tensor/backend.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { BACKENDS, expectNothingLeft } from '../support/backends.ts';
import { experts } from './conformance/experts.ts';
import { ops } from './conformance/ops.ts';
import { packed } from './conformance/packed.ts';
import { primitives } from './conformance/primitives.ts';

const KERNELS = Object.keys({ linear: 1, rmsNorm: 1, layerNorm: 1, rotate: 1, swiglu: 1 } satisfies Record<
  keyof FusedKernels,
  1
>);

describe.each(BACKENDS)('%s', (_, create) => {
  const { backend, calls } = recorded(create());
  expectNothingLeft(() => backend);
  describe('primitives', () => {
    primitives(backend);
  });
  describe('packed weights', () => {
    packed(backend);
  });
  describe('ops', () => {
    ops(backend);
  });
  describe('experts', () => {
    experts(backend);
  });

  it('nothing of the contract went untested', () => {
    const contract = Object.getOwnPropertyNames(ReferenceBackend.prototype).filter((name) => name !== 'constructor');
    expect([...calls.keys()]).toEqual(expect.arrayContaining(contract));
    // Each fused kernel both did its op and left it to the primitives, where the backend has such kernels at all.
    for (const kernel of KERNELS.filter((name) => name in backend.fused))
      expect(calls.get(`fused.${kernel}`), kernel).toEqual(new Set([true, false]));
  });
});

/** The backend, with notes of which of its methods were called, and whether they gave something. */
function recorded(backend: Backend): { backend: Backend; calls: Map<string, Set<boolean>> } {
  const calls = new Map<string, Set<boolean>>();
  const listen = <T extends object>(target: T, path: string): T =>
    new Proxy(target, {
      get(_, name: string) {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return name === 'fused' ? listen(member as object, 'fused.') : member;
        return (...parameters: unknown[]): unknown => {
          const result: unknown = member.apply(target, parameters);
          calls.set(path + name, (calls.get(path + name) ?? new Set()).add(result !== undefined));
          return result;
        };
      },
    });
  return { backend: listen(backend, ''), calls };
}
