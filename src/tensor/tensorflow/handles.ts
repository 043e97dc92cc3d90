import type { Operand, Shape } from '../backend.ts';
import type { DType } from '../dtype.ts';
import { VitrineError } from '../errors.ts';
import { sameShape } from '../shape.ts';
import { TF, TF_ATTR, type Addon, type OpAttr } from './addon.ts';

/**
 * A TensorFlow tensor. `reshape` gives the same handle to tensors of several shapes, so it counts its holders, and
 * `shape` is the one that TensorFlow knows; an op for which the difference matters asks for a reshaped handle.
 */
export class Handle {
  readonly id: number;
  readonly shape: Shape;
  holders = 1;
  /** Of a store in host memory: a handle for each index of its first axis, over the same memory. */
  readonly slices: readonly Handle[] | undefined;

  constructor(id: number, shape: Shape, slices?: readonly Handle[]) {
    this.id = id;
    this.shape = shape;
    this.slices = slices;
  }
}

export type Value = Operand<Handle>;

/** What TensorFlow keeps for each dtype. */
export const TF_DTYPE: Record<DType, number> = {
  f32: TF.float,
  f16: TF.half,
  bf16: TF.bfloat16,
  f8_e4m3: TF.bfloat16,
  f8_e5m2: TF.bfloat16,
  i32: TF.int32,
  u8: TF.uint8,
};

export const typeAttr = (name: string, dtype: number): OpAttr => ({ name, type: TF_ATTR.type, value: dtype });
export const intAttr = (name: string, value: number): OpAttr => ({ name, type: TF_ATTR.int, value });
export const boolAttr = (name: string, value: boolean): OpAttr => ({ name, type: TF_ATTR.bool, value });

/**
 * Runs ops on the addon and frees what was only made for them: reshaped operands, constants.
 * TensorFlow reads element types from the operands; only what it cannot infer is given as attributes.
 */
export class Executor {
  readonly addon: Addon;
  readonly #temporary: number[] = [];

  constructor(addon: Addon) {
    this.addon = addon;
  }

  /** Runs an op of one output. */
  run(op: string, attrs: readonly OpAttr[], inputs: readonly number[]): Handle {
    return this.runMany(op, attrs, inputs, 1)[0];
  }

  runMany(op: string, attrs: readonly OpAttr[], inputs: readonly number[], outputs: number): Handle[] {
    try {
      return this.addon.executeOp(op, attrs, inputs, outputs).map(({ id, shape }) => new Handle(id, shape));
    } catch (error) {
      const reason = error instanceof Error ? error.message.replace(/^Invalid TF_Status: \d+\s*Message: /, '') : error;
      throw new VitrineError(`TensorFlow's ${op} failed: ${String(reason)}`, { cause: error });
    } finally {
      for (const id of this.#temporary) this.addon.deleteTensor(id);
      this.#temporary.length = 0;
    }
  }

  /** A 16-bit float tensor over `bytes`: the addon knows none, so they come as bytes, and Bitcast names them without a copy. */
  halves(bytes: Uint8Array, shape: Shape, dtype: number): Handle {
    const raw = this.addon.createTensor([...shape, 2], TF.uint8, bytes);
    try {
      return this.run('Bitcast', [typeAttr('type', dtype)], [raw]);
    } finally {
      this.addon.deleteTensor(raw);
    }
  }

  /** The operand's id, in its own shape. */
  id({ handle, shape }: Value): number {
    if (sameShape(handle.shape, shape)) return handle.id;
    const [reshaped] = this.addon.executeOp('Reshape', [], [handle.id, this.ints(shape)], 1);
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
    for (const { id } of [handle, ...(handle.slices ?? [])]) this.addon.deleteTensor(id);
  }
}
