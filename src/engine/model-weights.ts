import { weightShape, type WeightTable, weightTensor } from '../model/weights/weight-table.ts';
import type { CheckedWeight } from '../model/weights/weight-types.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** What is known of a weight; see `docs/weights.md`. */
export interface WeightInfo {
  readonly name: string;
  /** A letter for each axis, as in `H D d` of `W_Q`. */
  readonly axes: string;
  readonly shape: Shape;
  readonly meaning: string;
}

/**
 * The weights of a model by name, in TransformerLens' orientation: a row vector is multiplied from the left, `x W + b`. They
 * are those that the forward pass computes with; nothing is folded or centred.
 */
export class ModelWeights {
  readonly #table: () => WeightTable;

  /** @param table Gives the weights, or throws where the model was disposed of. */
  constructor(table: () => WeightTable) {
    this.#table = table;
  }

  /** The names of all weights, in the order of the pass. */
  get names(): string[] {
    return [...this.#table().points.keys()];
  }

  /** All weights by name, in the order of the pass. */
  get list(): ReadonlyMap<string, WeightInfo> {
    return new Map(
      [...this.#table().points].map(([name, point]) => {
        const { axes, meaning } = point;
        return [name, { name, axes, shape: weightShape(point), meaning }];
      }),
    );
  }

  /**
   * The shape of a weight.
   *
   * @throws {WeightError} as `get` does.
   */
  shape<const Name extends string>(name: Name & CheckedWeight<Name>): Shape {
    return weightShape(this.#table().find(name));
  }

  /**
   * A copy of a weight in f32, whatever it is stored in, on the model's backend; the caller disposes of it. While the weight
   * is edited by `withWeights`, as edited.
   *
   * @throws {WeightError} for a name that the model does not have: it says why, and gives the nearest names.
   * @throws {DisposedError} where the model was disposed of.
   */
  get<const Name extends string>(name: Name & CheckedWeight<Name>): Tensor {
    return weightTensor(this.#table().find(name));
  }
}
