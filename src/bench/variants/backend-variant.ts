import type { Backend } from '../../tensor/backend.ts';
import type { Shape } from '../../tensor/shape.ts';
import { isReference } from '../../tensor/backends.ts';
import { byteSize, elements } from '../../tensor/dtype.ts';
import { floatFormat } from '../../tensor/formats/float-formats.ts';
import type { PackedMatrix } from '../../tensor/formats/packed-format.ts';
import { PackedParameter } from '../../tensor/packed-parameter.ts';
import { Parameter } from '../../tensor/parameter.ts';
import { scope } from '../../tensor/scope.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { tracedKernels } from '../../tensor/trace.ts';
import { Variable } from '../../tensor/variable.ts';
import type { OperandSpec } from '../inputs/operand-spec.ts';
import { packedFormat, type WeightFormat } from '../subject/weight-format.ts';
import type { OpCall } from '../suites/suite.ts';
import type { EngineVariant } from './engine-variants.ts';
import type { Prepared, Task, Variant } from './variant.ts';

/** A variant that runs the op on `backend` as the model does: through `src/tensor/ops`. */
export function onBackend({ name, backend: backendName, weights }: EngineVariant, backend: Backend): Variant {
  // The CPU multiplies codes in f32 even where it multiplies bf16 in bf16.
  const rounds = packedFormat(weights) === undefined ? weights === 'bf16' : !backend.usesHostMemory;
  const compute = rounds && backend.multipliesBf16 ? 'bf16' : 'f32';
  return {
    name,
    weights,
    compute,
    prepare: (task) => {
      const prepared = prepare(task, backend, weights, compute);
      return isReference(backendName) ? { ...prepared, kernels: () => ['plain loops'] } : prepared;
    },
  };
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
  const sets = Array.from({ length: copies }, (): { tensors: Record<string, Tensor>; call: OpCall } => {
    const stores = placed((kind) => kind === 'store');
    const matrices = specs
      .filter(([, { kind }]) => kind === 'matrix')
      .map(([name, { shape }]) => [name, matrix(name, shape)] as const);
    return {
      tensors: Object.fromEntries([...shared, ...stores]),
      call: { sizes, compute, matrices: Object.fromEntries(matrices) },
    };
  });
  const apply = (copy: number): Tensor => suite.apply(sets[copy].tensors, sets[copy].call);
  const run = (copy: number): void => {
    scope('', () => {
      const out = apply(copy);
      if (backend.queuesOps) out.data();
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
      tracedKernels(() => {
        run(0);
      }),
    dispose: () => {
      for (const thing of owned.reverse()) thing.dispose();
    },
  };
}

/** Places a matrix as `load` does, in memory that the backend allocated. */
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
