import type { Operand } from '../backend.ts';
import { url as inspectorUrl } from 'node:inspector';
import type { Place, SharedMemories } from '../cpu/shared-memory.ts';
import type { DType } from '../dtype.ts';
import { VitrineError } from '../../errors.ts';
import type { NarrowArray } from '../host-array.ts';
import { type Shape, sameShape } from '../shape.ts';
import { kernelRuns } from '../trace.ts';
import { TF, TF_ATTR, type Addon, type OpAttr } from './addon.ts';

/**
 * A tensor that TensorFlow knows, or that it will know once one of its ops needs it: what our own kernels make stays in
 * JavaScript until then, which spares two calls for each of the many small ops of a token.
 *
 * `reshape` gives the same handle to tensors of several shapes, so it counts its holders, and `shape` is the one that
 * TensorFlow knows; an op for which the difference matters asks for a reshaped handle.
 */
export class Handle {
  readonly shape: Shape;
  /** f32 or i32 numbers that JavaScript can read as they are. Nobody writes to them but the owner of a variable. */
  readonly values: NarrowArray | undefined;
  /** Where its numbers lie, if kernels of ours can reach them. */
  readonly place: Place | undefined;
  /** TensorFlow's number for it. */
  id: number | undefined;
  holders = 1;

  constructor(shape: Shape, from: { id?: number; values?: NarrowArray; place?: Place | undefined }) {
    this.shape = shape;
    this.id = from.id;
    this.values = from.values;
    this.place = from.place;
  }
}

/** An operand whose handle is ours. */
export type Value = Operand<Handle>;

/** The dtype in which TensorFlow holds each of ours. */
export const TF_DTYPE: Record<DType, number> = {
  f32: TF.float,
  f16: TF.half,
  bf16: TF.bfloat16,
  f8_e4m3: TF.bfloat16,
  f8_e5m2: TF.bfloat16,
  i32: TF.int32,
  u8: TF.uint8,
};

/** An attribute that names a dtype. */
export const typeAttr = (name: string, dtype: number): OpAttr => ({ name, type: TF_ATTR.type, value: dtype });
/** An attribute that is an integer. */
export const intAttr = (name: string, value: number): OpAttr => ({ name, type: TF_ATTR.int, value });
/** An attribute that is a boolean. */
export const boolAttr = (name: string, value: boolean): OpAttr => ({ name, type: TF_ATTR.bool, value });

/**
 * Runs ops on the addon and frees what was only made for them: reshaped operands, constants.
 * TensorFlow reads element types from the operands; only what it cannot infer is given as attributes.
 */
export class Executor {
  readonly addon: Addon;
  readonly #memories: SharedMemories | undefined;
  readonly #temporary: number[] = [];
  /**
   * Whether a debugger can look (`node --inspect`, VS Code): then results are copied into JavaScript's memory as they are made, because
   * a debugger shows variables without calling native code.
   */
  readonly #copiesResults = inspectorUrl() !== undefined;
  #hostHandles = 0;

  /** @param memories Where the places of handles are. */
  constructor(addon: Addon, memories: SharedMemories | undefined) {
    this.addon = addon;
    this.#memories = memories;
  }

  /** Handles that TensorFlow knows, and those that it does not know yet. */
  get live(): number {
    return this.addon.getNumOfTensors() + this.#hostHandles;
  }

  /** Runs an op of one output. */
  run(op: string, attrs: readonly OpAttr[], inputs: readonly number[]): Handle {
    return this.runMany(op, attrs, inputs, 1)[0];
  }

  runMany(op: string, attrs: readonly OpAttr[], inputs: readonly number[], outputs: number): Handle[] {
    kernelRuns('TensorFlow', op);
    try {
      return this.addon
        .executeOp(op, attrs, inputs, outputs)
        .map(({ id, shape, dtype }) => new Handle(shape, { id, ...this.#copied(id, dtype) }));
    } catch (error) {
      const reason = error instanceof Error ? error.message.replace(/^Invalid TF_Status: \d+\s*Message: /, '') : error;
      throw new VitrineError(`TensorFlow's ${op} failed: ${String(reason)}`, { cause: error });
    } finally {
      for (const id of this.#temporary) this.addon.deleteTensor(id);
      this.#temporary.length = 0;
    }
  }

  #copied(id: number, dtype: number): { values: NarrowArray } | undefined {
    if (!this.#copiesResults || (dtype !== TF.float && dtype !== TF.int32)) return undefined;
    return { values: this.addon.tensorDataSync(id) as NarrowArray };
  }

  /** f32 or i32 numbers of our own as a handle, which takes them over. */
  made(values: Float32Array | Int32Array, shape: Shape): Handle {
    this.#hostHandles++;
    return new Handle(shape, { values });
  }

  /** f32 values, not to be written to: a copy only where they are in TensorFlow's memory. */
  read({ handle }: Value): Float32Array {
    return (handle.values ?? this.addon.tensorDataSync(this.idOf(handle))) as Float32Array;
  }

  /** The handle's id, in the shape that TensorFlow knows. */
  idOf(handle: Handle): number {
    if (handle.id === undefined) {
      const dtype = handle.values instanceof Int32Array ? TF.int32 : TF.float;
      handle.id = this.addon.createTensor(handle.shape, dtype, handle.values!);
      this.#hostHandles--;
    }
    return handle.id;
  }

  /** The operand's id, in its own shape. */
  id({ handle, shape }: Value): number {
    const id = this.idOf(handle);
    if (sameShape(handle.shape, shape)) return id;
    const [reshaped] = this.addon.executeOp('Reshape', [], [id, this.ints(shape)], 1);
    this.#temporary.push(reshaped.id);
    return reshaped.id;
  }

  /** A vector of i32 for the next op. */
  ints(values: readonly number[]): number {
    return this.#constant([values.length], TF.int32, Int32Array.from(values));
  }

  /** A scalar i32 for the next op. */
  int(value: number): number {
    return this.#constant([], TF.int32, Int32Array.of(value));
  }

  /** A scalar f32 for the next op. */
  float(value: number): number {
    return this.#constant([], TF.float, Float32Array.of(value));
  }

  #constant(shape: Shape, dtype: number, values: Int32Array | Float32Array): number {
    const id = this.addon.createTensor(shape, dtype, values);
    this.#temporary.push(id);
    return id;
  }

  release(handle: Handle): void {
    if (--handle.holders > 0) return;
    if (handle.id === undefined) this.#hostHandles--;
    else this.addon.deleteTensor(handle.id);
    if (handle.place !== undefined) this.#memories?.release(handle.place);
  }
}
