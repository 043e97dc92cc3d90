import type { Backend, Shape } from '../tensor/backend.ts';
import { type BackendName, createBackend } from '../tensor/backends.ts';
import { byteSize, elements } from '../tensor/dtype.ts';
import { floatFormat } from '../tensor/formats/float-formats.ts';
import type { PackedMatrix } from '../tensor/formats/packed-format.ts';
import { PackedParameter } from '../tensor/packed-parameter.ts';
import { Parameter } from '../tensor/parameter.ts';
import { scope } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import { tracedKernels } from '../tensor/trace.ts';
import { Variable } from '../tensor/variable.ts';
import type { Call, Case, OperandSpec, Suite } from './suite.ts';
import type { Prepared, Task, Variant } from './variant.ts';
import { packedFormat, type WeightFormat } from './weight-format.ts';

/** A variant of the engine, before a process makes its backend. */
export interface EngineVariant {
  readonly name: string;
  readonly backend: BackendName;
  readonly weights: WeightFormat;
}

/**
 * What the engine has for an op, best first. Where it has matrices, there is one for each way to store them: in numbers, and
 * in the model's codes where it has such; the others only know f32.
 */
export function engineVariants(
  { operands }: Suite,
  { sizes, site, stored }: Pick<Case, 'sizes' | 'site' | 'stored'>,
): EngineVariant[] {
  const hasMatrices = Object.values(operands(sizes, site)).some(({ kind }) => kind === 'matrix');
  if (!hasMatrices)
    return (['tensorflow', 'reference'] as const).map((backend) => ({ name: backend, backend, weights: 'f32' }));
  return [
    ...(stored !== undefined && packedFormat(stored) ? ([{ name: `tensorflow-${stored}`, backend: 'tensorflow', weights: stored }] as const) : []), // prettier-ignore
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
  // Codes are multiplied in f32 on the CPU, whatever else it can do.
  const rounds = packedFormat(weights) === undefined ? weights === 'bf16' : !backend.usesHostMemory;
  const compute = rounds && backend.multipliesBf16 ? 'bf16' : 'f32';
  return { name, weights, compute, prepare: (task) => prepare(task, backend, weights, compute) };
}

function prepare(
  { suite, sizes, operands, inputs, packed, copies }: Task,
  backend: Backend,
  weights: WeightFormat,
  compute: 'f32' | 'bf16',
): Prepared {
  const owned: { dispose(): void }[] = [];
  const own = <T extends { dispose(): void }>(thing: T): T => {
    owned.push(thing);
    return thing;
  };
  const place = (name: string, { kind, shape }: OperandSpec): Tensor => {
    const values = inputs[name];
    if (kind === 'indices') return own(Tensor.from(backend, Int32Array.from(values), shape));
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
  const placed = (isWanted: (kind: OperandSpec['kind']) => boolean): [string, Tensor][] =>
    specs.filter(([, { kind }]) => isWanted(kind)).map(([name, spec]) => [name, place(name, spec)]);
  const shared = placed((kind) => kind !== 'matrix' && kind !== 'store');
  const matrix = (name: string, shape: Shape) =>
    own(
      packedFormat(weights) === undefined
        ? placeMatrix(backend, inputs[name], shape, weights === 'bf16' ? weights : 'f32')
        : placePacked(backend, packed[name]),
    );
  const sets = Array.from({ length: copies }, (): { tensors: Record<string, Tensor>; call: Call } => {
    const stores = placed((kind) => kind === 'store');
    const matrices = specs.filter(([, { kind }]) => kind === 'matrix').map(([name, { shape }]) => [name, matrix(name, shape)] as const); // prettier-ignore
    return {
      tensors: Object.fromEntries([...shared, ...stores]),
      call: { sizes, compute, matrices: Object.fromEntries(matrices) },
    };
  });
  const apply = (copy: number): Tensor => suite.apply(sets[copy].tensors, sets[copy].call);
  // On a GPU ops are only queued; to read the result is to wait for it.
  const waits = backend.description.includes('CUDA');
  const run = (copy: number): void => {
    scope('', () => {
      const out = apply(copy);
      if (waits) out.data();
    });
  };
  return {
    run,
    result: (copy) => {
      let values: Float32Array = new Float32Array();
      scope('', () => {
        values = apply(copy).data();
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
function placeMatrix(backend: Backend, values: Float32Array, shape: Shape, dtype: 'f32' | 'bf16'): Parameter {
  const bytes = backend.allocate(elements(shape) * byteSize(dtype));
  floatFormat(dtype).encode(values, bytes);
  const parameter = new Parameter('w', shape, dtype);
  parameter.fill(new Tensor(backend, backend.upload(bytes, shape, dtype), shape, dtype));
  return parameter;
}

function placePacked(backend: Backend, matrix: PackedMatrix): PackedParameter {
  const codes = backend.allocate(matrix.codes.length);
  codes.set(matrix.codes);
  const parameter = new PackedParameter('w', matrix);
  parameter.fill(backend, { ...matrix, codes, scales: matrix.scales.slice() });
  return parameter;
}
