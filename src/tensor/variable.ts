import type { Backend } from './backend.ts';
import { DisposedError, ShapeError, VitrineError } from '../errors.ts';
import { type Shape, isSize, show } from './shape.ts';
import { tracked } from './tape.ts';
import { Tensor } from './tensor.ts';

/** An f32 store that is written in place, zero at first; the KV cache keeps its keys and values in it. Its owner disposes of it. */
export class Variable {
  readonly shape: Shape;
  readonly #backend: Backend;
  readonly #variable: unknown;
  #disposed = false;

  /** Allocates a store of `shape` in the backend's memory. */
  constructor(backend: Backend, shape: Shape) {
    this.shape = shape;
    this.#backend = backend;
    this.#variable = backend.createVariable(shape);
  }

  /**
   * Overwrites the box of `value`'s shape that starts at `begin`.
   *
   * @throws {ShapeError} when `value` is not f32, or the box is not within the store.
   * @throws {VitrineError} when a gradient is to go through `value`: it would end here.
   * @throws {DisposedError} after `dispose`.
   */
  write(begin: Shape, value: Tensor): void {
    this.#expectUsable();
    const { shape } = this;
    const inside = value.shape.every((size, i) => isSize(begin[i]) && begin[i] + size <= shape[i]);
    if (value.dtype !== 'f32' || value.shape.length !== shape.length || begin.length !== shape.length || !inside)
      throw new ShapeError(
        `Variable.write: expected an f32 box in ${show(shape)}, got ${value.dtype} ${show(value.shape)} at ${show(begin)}.`,
      );
    if (tracked(value))
      throw new VitrineError('Variable.write: expected a constant: no gradient goes through a store.');
    this.#backend.writeVariable(this.#variable, this.shape, begin, value);
  }

  /**
   * The contents, without a copy: valid until the next write.
   *
   * @throws {DisposedError} after `dispose`.
   */
  read(): Tensor {
    this.#expectUsable();
    return new Tensor(this.#backend, this.#backend.readVariable(this.#variable, this.shape), this.shape, 'f32');
  }

  /** Frees the memory; a second call does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#backend.freeVariable(this.#variable);
  }

  /** A freed store must not be written to: its memory may belong to another one. */
  #expectUsable(): void {
    if (this.#disposed)
      throw new DisposedError(`KV cache: a store of ${show(this.shape)} was freed while it was used.`);
  }
}
