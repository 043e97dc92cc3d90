import type { Tensor } from './tensor.ts';

/** The numbers that stand in for those of a parameter while the weight is edited. Edits nest: the innermost counts. */
export class StandIn {
  readonly #tensors: Tensor[] = [];

  /** The innermost, or undefined where the weight is not edited. */
  get tensor(): Tensor | undefined {
    return this.#tensors.at(-1);
  }

  /**
   * Takes over a tensor that no scope owns, of the parameter's shape.
   *
   * @returns Ends the edit and frees the tensor; to be called in reverse order.
   */
  put(tensor: Tensor): () => void {
    this.#tensors.push(tensor);
    return () => {
      this.#tensors.splice(this.#tensors.indexOf(tensor), 1);
      tensor.dispose();
    };
  }
}
