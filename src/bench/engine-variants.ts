import type { Backend } from '../tensor/backend.ts';
import { type BackendName, createBackend } from '../tensor/backends.ts';
import { byteSize, elements } from '../tensor/dtype.ts';
import { floatFormat } from '../tensor/formats/index.ts';
import { scope } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { tracedKernels } from '../tensor/trace.ts';
import { Variable } from '../tensor/variable.ts';
import type { OperandSpec, Suite } from './suite.ts';
import type { Prepared, Task, Variant } from './variant.ts';

/** A variant of the engine, before a process makes its backend. */
export interface EngineVariant {
  readonly name: string;
  readonly backend: BackendName;
  readonly weights: 'f32' | 'bf16';
}

/**
 * What the engine has for an op, best first. Where it has matrices, there is one for each way to store them; the others
 * only know f32.
 */
export function engineVariants({ operands }: Suite, sizes: Record<string, number>): EngineVariant[] {
  const hasMatrices = Object.values(operands(sizes, '')).some(({ kind }) => kind === 'matrix');
  if (!hasMatrices)
    return (['tensorflow', 'reference'] as const).map((backend) => ({ name: backend, backend, weights: 'f32' }));
  return [
    { name: 'tensorflow-bf16', backend: 'tensorflow', weights: 'bf16' },
    { name: 'tensorflow-f32', backend: 'tensorflow', weights: 'f32' },
    { name: 'reference', backend: 'reference', weights: 'f32' },
  ];
}

const backends = new Map<BackendName, Backend>();

/** One backend of each kind in a process. @throws VitrineError where it cannot be used. */
export function backendOf(name: BackendName, threads: number | undefined): Backend {
  const backend = backends.get(name) ?? createBackend(name, { threads });
  backends.set(name, backend);
  return backend;
}

/** The variant on a backend, which runs the op as the model does: through `src/tensor/ops`. */
export function onBackend({ name, weights }: EngineVariant, backend: Backend): Variant {
  const compute = weights === 'bf16' && backend.multipliesBf16 ? 'bf16' : 'f32';
  return { name, weights, compute, prepare: (task) => prepare(task, backend, weights, compute) };
}

function prepare(
  { suite, sizes, operands, inputs, copies }: Task,
  backend: Backend,
  weights: 'f32' | 'bf16',
  compute: 'f32' | 'bf16',
): Prepared {
  const owned: { dispose(): void }[] = [];
  const own = <T extends { dispose(): void }>(thing: T): T => {
    owned.push(thing);
    return thing;
  };
  const place = (name: string, { kind, shape }: OperandSpec): Tensor => {
    const values = inputs[name];
    if (kind === 'matrix') return own(placeMatrix(backend, values, shape, weights));
    if (kind !== 'store') return own(Tensor.from(backend, values, shape));
    const variable = own(new Variable(backend, shape));
    scope('', () => {
      variable.write(
        shape.map(() => 0),
        Tensor.from(backend, values, shape),
      );
    });
    return own(variable.read());
  };
  const specs = Object.entries(operands);
  const isCold = ({ kind }: OperandSpec): boolean => kind === 'matrix' || kind === 'store';
  const shared = specs.filter(([, spec]) => !isCold(spec)).map(([name, spec]) => [name, place(name, spec)] as const);
  const sets = Array.from({ length: copies }, (): Readonly<Record<string, Tensor>> => {
    const cold = specs.filter(([, spec]) => isCold(spec)).map(([name, spec]) => [name, place(name, spec)] as const);
    return Object.fromEntries([...shared, ...cold]);
  });
  // On a GPU ops are only queued; to read the result is to wait for it.
  const waits = backend.description.includes('CUDA');
  const run = (copy: number): void => {
    scope('', () => {
      const out = suite.apply(sets[copy], sizes, compute);
      if (waits) out.data();
    });
  };
  return {
    run,
    result: (copy) => {
      let values: Float32Array = new Float32Array();
      scope('', () => {
        values = suite.apply(sets[copy], sizes, compute).data();
      });
      return values;
    },
    kernels: () =>
      backend.name === 'reference'
        ? ['plain loops']
        : tracedKernels(() => {
            run(0);
          }),
    dispose: () => {
      for (const thing of owned.reverse()) thing.dispose();
    },
  };
}

/** As a loaded weight lies: in memory that the backend gave out. */
function placeMatrix(
  backend: Backend,
  values: Float32Array,
  shape: OperandSpec['shape'],
  dtype: 'f32' | 'bf16',
): Tensor {
  const bytes = backend.allocate(elements(shape) * byteSize(dtype));
  floatFormat(dtype).encode(values, bytes);
  return new Tensor(backend, backend.upload(bytes, shape, dtype), shape, dtype);
}
