import type { Shape } from './shape.ts';
import type { DType } from './dtype.ts';
import { VitrineError } from '../errors.ts';
import { StandIn } from './stand-in.ts';
import type { Tensor } from './tensor.ts';

/**
 * A weight of a model: declared with name, shape and dtype when the model is built, filled when its file is read, so that
 * every shape is checked against the file before any number is read.
 */
export class Parameter {
  readonly name: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly standIn = new StandIn();
  #tensor: Tensor | undefined;
  /** Another parameter, which has the numbers. */
  #holder: Parameter | undefined;

  /** @param name The weight's name, for errors. */
  constructor(name: string, shape: Shape, dtype: DType) {
    this.name = name;
    this.shape = shape;
    this.dtype = dtype;
  }

  /** A parameter with the same numbers in the same memory, which is edited apart: the head that is tied to an embedding. */
  twin(): Parameter {
    const twin = new Parameter(this.name, this.shape, this.dtype);
    twin.#holder = this;
    return twin;
  }

  /**
   * The numbers, in `dtype`; while the weight is edited, those that stand in for them, which may be f32.
   *
   * @throws {VitrineError} before `fill`.
   */
  get tensor(): Tensor {
    return this.standIn.tensor ?? (this.#holder ?? this).#stored();
  }

  #stored(): Tensor {
    if (this.#tensor === undefined) throw new VitrineError(`${this.name} was used before the weights were loaded.`);
    return this.#tensor;
  }

  /** Takes over a tensor that no scope owns. */
  fill(tensor: Tensor): void {
    this.#tensor = tensor;
  }

  /** Frees the tensor, unless another parameter holds it. */
  dispose(): void {
    this.#tensor?.dispose();
  }
}
