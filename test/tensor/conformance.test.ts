import { describe, expect, it } from 'vitest';
import type { Backend, FusedKernels } from '../../src/tensor/backend.ts';
import { ReferenceBackend } from '../../src/tensor/reference/reference-backend.ts';
import { createBackend } from '../../src/tensor/backends.ts';
import { BACKENDS, expectNothingLeft } from '../support/tested-backends.ts';
import { experts } from './conformance/experts.ts';
import { gradients } from './conformance/gradients.ts';
import { ops } from './conformance/ops.ts';
import { packed } from './conformance/packed.ts';
import { primitives } from './conformance/primitives.ts';
import { variables } from './conformance/variables.ts';
import { weighted } from './conformance/weighted.ts';

const KERNELS = Object.keys({ linear: 1, rmsNorm: 1, layerNorm: 1, rotate: 1, swiglu: 1 } satisfies Record<
  keyof FusedKernels,
  1
>);

/** The project `bf16 products` runs only what that setting changes: products with weights, on TensorFlow. */
const onlyProducts = process.env.VITRINE_BF16_PRODUCTS === '1';
/** With variables of the device, only they are stored otherwise. */
const isDevice = (name: string): boolean => name.includes('device');
const whole = BACKENDS.filter(([name]) => !isDevice(name) && !(onlyProducts && name === 'reference'));

describe.each(BACKENDS.filter(([name]) => isDevice(name) && !onlyProducts))('%s', (_, create) => {
  const backend = create();
  expectNothingLeft(() => backend);
  describe('variables', () => {
    variables(backend);
  });
});

describe.each(whole)('%s', (name, create) => {
  const { backend, calls } = recorded(create());
  expectNothingLeft(() => backend);
  describe('packed weights', () => {
    packed(backend, { isOracle: name === 'reference' });
  });
  describe('dense weights', () => {
    weighted(backend);
  });
  describe('experts', () => {
    experts(backend);
  });
  if (!onlyProducts) {
    describe('primitives', () => {
      primitives(backend);
    });
    describe('variables', () => {
      variables(backend);
    });
    describe('ops', () => {
      ops(backend);
    });
    describe('gradients', () => {
      gradients(backend);
    });
  }

  it('runs every op of the contract in these tests, and each fused kernel both with a result and without', () => {
    const contract = Object.getOwnPropertyNames(ReferenceBackend.prototype).filter((name) => name !== 'constructor');
    if (!onlyProducts) expect([...calls.keys()]).toEqual(expect.arrayContaining(contract));
    const kernels = onlyProducts ? ['linear'] : KERNELS;
    for (const kernel of kernels.filter((name) => name in backend.fused))
      expect(calls.get(`fused.${kernel}`), kernel).toEqual(new Set([true, false]));
  });
});

if (!onlyProducts) {
  describe('reference-f64, gradients', () => {
    const backend = createBackend('reference-f64');
    expectNothingLeft(() => backend);
    gradients(backend);
  });
}

/** The backend behind a proxy that notes which methods were called, and whether they gave a result. */
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
