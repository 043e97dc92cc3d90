import type { Backend, Shape } from './backend.ts';
import { VitrineError } from '../errors.ts';
import type { PackedLayout, PackedMatrix } from './formats/packed-format.ts';
import { Tensor } from './tensor.ts';

/** A weight matrix `[out, in]` that stays in its stored blocks: what a `Parameter` is for a dense one. */
export class PackedParameter {
  readonly name: string;
  readonly shape: Shape;
  readonly layout: PackedLayout;
  #filled: { readonly backend: Backend; readonly handle: unknown } | undefined;

  constructor(name: string, layout: PackedLayout) {
    this.name = name;
    this.shape = [layout.blockRow.length, layout.columns];
    this.layout = layout;
  }

  /** Gives the parameter its bytes, which the backend takes over. */
  fill(backend: Backend, matrix: PackedMatrix): void {
    this.#filled = { backend, handle: backend.uploadPacked(matrix) };
  }

  /** `x W^T`: `[T, in]` to `[T, out]`, f32; the operands may be rounded to `compute` before the product. */
  multiply(x: Tensor, compute: 'f32' | 'bf16'): Tensor {
    const { backend, handle } = this.#weights();
    return new Tensor(backend, backend.matmulPacked(x, handle, compute), [x.shape[0], this.shape[0]], 'f32');
  }

  /** The numbers as an f32 tensor, decoded for this call. */
  dense(): Tensor {
    const { backend, handle } = this.#weights();
    return Tensor.from(backend, backend.downloadPacked(handle), this.shape);
  }

  dispose(): void {
    if (this.#filled === undefined) return;
    this.#filled.backend.freePacked(this.#filled.handle);
    this.#filled = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #weights(): { readonly backend: Backend; readonly handle: unknown } {
    if (this.#filled === undefined) throw new VitrineError(`${this.name} was used before the weights were loaded.`);
    return this.#filled;
  }
}
