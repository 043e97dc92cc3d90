import type { Shape } from '../shape.ts';
import { elements } from '../dtype.ts';
import type { SharedMemories } from '../cpu/shared-memory.ts';
import { VitrineError } from '../../errors.ts';
import { copyBox } from '../reference/movement.ts';
import { TF, TF_ATTR } from './addon.ts';
import { type Executor, Handle, typeAttr, type Value } from './handles.ts';

/** A tensor that is written in place. */
export interface VariableStore {
  write(begin: Shape, value: Value): void;
  read(): Handle;
  free(): void;
}

/** On CPU: shared memory that TensorFlow reads as a tensor, so that a write costs no op and a read nothing at all. */
export class HostVariable implements VariableStore {
  readonly #executor: Executor;
  readonly #values: Float32Array;
  readonly #handle: Handle;

  /** @throws {VitrineError} where the system has no memory for it. */
  constructor(executor: Executor, memories: SharedMemories, shape: Shape) {
    const size = elements(shape);
    const place = memories.allocate(size * 4);
    if (place === undefined)
      throw new VitrineError(`KV cache: no memory for ${size * 4} bytes more. Use a shorter context.`);
    this.#executor = executor;
    this.#values = place.memory.floats(place.address, size).fill(0);
    const id = executor.addon.createTensor(shape, TF.float, this.#values);
    this.#handle = new Handle(shape, { id, values: this.#values, place });
  }

  write(begin: Shape, value: Value): void {
    const values = this.#executor.read(value);
    const source = { values, shape: value.shape, at: value.shape.map(() => 0) };
    copyBox(source, { values: this.#values, shape: this.#handle.shape, at: begin }, value.shape);
  }

  read(): Handle {
    this.#handle.holders++;
    return this.#handle;
  }

  free(): void {
    this.#executor.release(this.#handle);
  }
}

/** TensorFlow's name for a variable that nobody else can find, and that goes with its last handle. */
const ANONYMOUS = 'cd2c89b7-88b7-44c8-ad83-06c2a9158347';

/** On any device: a resource variable. */
export class DeviceVariable implements VariableStore {
  readonly #executor: Executor;
  readonly #shape: Shape;
  readonly #resource: Handle;

  constructor(executor: Executor, shape: Shape) {
    this.#executor = executor;
    this.#shape = shape;
    this.#resource = executor.run(
      'VarHandleOp',
      [
        { name: 'container', type: TF_ATTR.string, value: '' },
        { name: 'shared_name', type: TF_ATTR.string, value: ANONYMOUS },
        typeAttr('dtype', TF.float),
        { name: 'shape', type: TF_ATTR.shape, value: shape },
      ],
      [],
    );
    const zeros = executor.run('Fill', [], [executor.ints(shape), executor.float(0)]);
    executor.runMany('AssignVariableOp', [], [executor.idOf(this.#resource), executor.idOf(zeros)], 0);
    executor.release(zeros);
  }

  write(begin: Shape, value: Value): void {
    const end = begin.map((at, axis) => at + value.shape[axis]);
    const box = [begin, end, begin.map(() => 1)].map((corner) => this.#executor.ints(corner));
    const inputs = [this.#executor.idOf(this.#resource), ...box, this.#executor.id(value)];
    this.#executor.runMany('ResourceStridedSliceAssign', [], inputs, 0);
  }

  read(): Handle {
    const attrs = [typeAttr('dtype', TF.float)];
    const read = this.#executor.run('ReadVariableOp', attrs, [this.#executor.idOf(this.#resource)]);
    return new Handle(this.#shape, { id: this.#executor.idOf(read) });
  }

  free(): void {
    this.#executor.release(this.#resource);
  }
}
