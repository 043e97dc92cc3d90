import type { Shape } from './backend.ts';
import type { DType } from './dtype.ts';
import { VitrineError } from '../errors.ts';
import type { Tensor } from './tensor.ts';

/**
 * A weight of a model: asked for by name and shape when the model is built, filled when its file is read.
 * So that every shape is checked against the file before any number is read.
 */
export class Parameter {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  #tensor: Tensor | undefined;

  constructor(name: string, shape: Shape, dtype: DType) {
    this.name = name;
    this.shape = shape;
    this.dtype = dtype;
  }

  get tensor(): Tensor {
    if (this.#tensor === undefined) throw new VitrineError(`${this.name} was used before the weights were loaded.`);
    return this.#tensor;
  }

  /** Gives the parameter its kept tensor, which it then owns. */
  fill(tensor: Tensor): void {
    this.#tensor = tensor;
  }

  dispose(): void {
    this.#tensor?.dispose();
  }
}
