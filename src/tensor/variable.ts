import type { Backend, Shape } from './backend.ts';
import { DisposedError, ShapeError } from '../errors.ts';
import { isSize, show } from './shape.ts';
import { Tensor } from './tensor.ts';

/** An f32 store that is written in place, zero at first: what the KV cache lives in. Its owner disposes of it. */
export class Variable {
  readonly shape: Shape;
  readonly #backend: Backend;
  readonly #variable: unknown;
  #disposed = false;

  constructor(backend: Backend, shape: Shape) {
    this.shape = shape;
    this.#backend = backend;
    this.#variable = backend.createVariable(shape);
  }

  /** Overwrites the box of `value`'s shape that starts at `begin`. */
  write(begin: Shape, value: Tensor): void {
    this.#expectUsable();
    const { shape } = this;
    const inside = value.shape.every((size, i) => isSize(begin[i]) && begin[i] + size <= shape[i]);
    if (value.dtype !== 'f32' || value.shape.length !== shape.length || begin.length !== shape.length || !inside)
      throw new ShapeError(
        `Variable.write: expected an f32 box in ${show(shape)}, got ${value.dtype} ${show(value.shape)} at ${show(begin)}.`,
      );
    this.#backend.writeVariable(this.#variable, this.shape, begin, value);
  }

  /** The contents, without a copy: valid until the next write. */
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

  /** Its memory may be another's by now. */
  #expectUsable(): void {
    if (this.#disposed)
      throw new DisposedError(`KV cache: a store of ${show(this.shape)} was freed while it was used.`);
  }
}
