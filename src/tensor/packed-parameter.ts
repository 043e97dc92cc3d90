import type { Backend } from './backend.ts';
import type { Shape } from './shape.ts';
import { VitrineError } from '../errors.ts';
import type { PackedLayout, PackedMatrix } from './formats/packed-format.ts';
import { StandIn } from './stand-in.ts';
import { tapedWhole } from './tape.ts';
import { Tensor } from './tensor.ts';

/** A weight matrix `[out, in]` that stays in the blocks of its storage format; the packed counterpart of `Parameter`. */
export class PackedParameter {
  readonly name: string;
  readonly shape: Shape;
  readonly layout: PackedLayout;
  readonly standIn = new StandIn();
  #filled: { readonly backend: Backend; readonly handle: unknown } | undefined;

  /** @param name The weight's name, for errors. */
  constructor(name: string, layout: PackedLayout) {
    this.name = name;
    this.shape = [layout.blockRow.length, layout.columns];
    this.layout = layout;
  }

  /** The numbers in f32 while the weight is edited; undefined while its codes count. */
  get tensor(): Tensor | undefined {
    return this.standIn.tensor;
  }

  /** Uploads the matrix, whose bytes the backend takes over. */
  fill(backend: Backend, matrix: PackedMatrix): void {
    this.#filled = { backend, handle: backend.uploadPacked(matrix) };
  }

  /**
   * `x W^T` with the codes: `[T, in]` to `[T, out]`, f32; both operands may be rounded to `compute` first.
   *
   * @throws {VitrineError} before `fill`.
   */
  multiply(x: Tensor, compute: 'f32' | 'bf16'): Tensor {
    const { backend, handle } = this.#weights();
    const [out, columns] = this.shape;
    const [T] = x.shape;
    return tapedWhole(
      x,
      () => new Tensor(backend, backend.matmulPacked(x, handle, compute), [T, out], 'f32'),
      (g) => new Tensor(backend, backend.pullPacked(g, handle), [T, columns], 'f32'),
    );
  }

  /** The matrix decoded to a new f32 tensor; while the weight is edited, `tensor`. */
  dense(): Tensor {
    if (this.tensor !== undefined) return this.tensor;
    const { backend, handle } = this.#weights();
    return Tensor.from(backend, backend.downloadPacked(handle), this.shape);
  }

  /** Frees the matrix; a second call does nothing. */
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
