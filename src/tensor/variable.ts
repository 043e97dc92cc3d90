import type { Backend, Shape } from './backend.ts';
import { ShapeError } from './errors.ts';
import { isSize, show } from './shape.ts';
import { Tensor } from './tensor.ts';

/** An f32 store that is written in place, zero at first: what the KV cache lives in. Its owner disposes of it. */
export class Variable {
  readonly shape: Shape;
  readonly #backend: Backend;
  readonly #variable: unknown;

  constructor(backend: Backend, shape: Shape) {
    this.shape = shape;
    this.#backend = backend;
    this.#variable = backend.createVariable(shape);
  }

  /** Overwrites the box of `value`'s shape that starts at `begin`. */
  write(begin: Shape, value: Tensor): void {
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
    return new Tensor(this.#backend, this.#backend.readVariable(this.#variable, this.shape), this.shape, 'f32');
  }

  dispose(): void {
    this.#backend.freeVariable(this.#variable);
  }
}
