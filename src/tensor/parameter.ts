import type { Shape } from './shape.ts';
import type { DType } from './dtype.ts';
import { VitrineError } from '../errors.ts';
import type { Tensor } from './tensor.ts';

/**
 * A weight of a model: declared with name, shape and dtype when the model is built, filled when its file is read, so that
 * every shape is checked against the file before any number is read.
 */
export class Parameter {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  #tensor: Tensor | undefined;

  /** @param name The weight's name, for errors. */
  constructor(name: string, shape: Shape, dtype: DType) {
    this.name = name;
    this.shape = shape;
    this.dtype = dtype;
  }

  /**
   * The numbers.
   *
   * @throws {VitrineError} before `fill`.
   */
  get tensor(): Tensor {
    if (this.#tensor === undefined) throw new VitrineError(`${this.name} was used before the weights were loaded.`);
    return this.#tensor;
  }

  /** Takes over a tensor that no scope owns. */
  fill(tensor: Tensor): void {
    this.#tensor = tensor;
  }

  /** Frees the tensor. */
  dispose(): void {
    this.#tensor?.dispose();
  }
}
