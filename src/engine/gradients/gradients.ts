import type { Activations } from '../../hooks/activations.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/**
 * The gradients of a number in the activations of a pass. `dispose` frees them all.
 *
 * @template At The names and globs at which they were taken.
 * @template Captured Those that were captured.
 */
export class Gradients<At extends string = string, Captured extends string = string> {
  /** The number, in f64. */
  readonly value: number;
  /** Its gradients by the names that were asked for, each in the shape of its activation. */
  readonly grads: Activations<At>;
  /** Captures of the same pass. */
  readonly acts: Activations<Captured>;

  constructor(value: number, grads: Activations<At>, acts: Activations<Captured>) {
    this.value = value;
    this.grads = grads;
    this.acts = acts;
  }

  /** Frees gradients and captures. A field, so that it can be taken out of the object. */
  readonly dispose = (): void => {
    for (const tensors of [this.grads, this.acts])
      for (const tensor of Object.values<Tensor>(tensors)) tensor.dispose();
  };

  [Symbol.dispose](): void {
    this.dispose();
  }
}
