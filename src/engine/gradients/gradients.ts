import type { Activations } from '../../hooks/recorder.ts';

/** The gradients of a number in the activations of a pass. `dispose` frees them all. */
export class Gradients {
  /** The number, in f64. */
  readonly value: number;
  /** Its gradients by the names that were asked for, each in the shape of its activation. */
  readonly grads: Activations;
  /** Captures of the same pass. */
  readonly acts: Activations;

  constructor(value: number, grads: Activations, acts: Activations) {
    this.value = value;
    this.grads = grads;
    this.acts = acts;
  }

  /** Frees gradients and captures. A field, so that it can be taken out of the object. */
  readonly dispose = (): void => {
    for (const tensor of [...Object.values(this.grads), ...Object.values(this.acts)]) tensor.dispose();
  };

  [Symbol.dispose](): void {
    this.dispose();
  }
}
