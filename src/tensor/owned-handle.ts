import type { Backend } from './backend.ts';
import { noteFreed } from './traced-tensors.ts';

let live = 0;

/** The number of tensors, in all backends, whose memory has not been freed. */
export const liveTensors = (): number => live;

/** Frees handles whose tensor was garbage collected before it was disposed of. */
const unreachable = new FinalizationRegistry<OwnedHandle>((owned) => {
  owned.free('by the garbage collector');
});

/** A backend's handle that is freed exactly once: by `free`, or after its tensor was garbage collected. */
export class OwnedHandle {
  readonly backend: Backend;
  readonly handle: unknown;
  #freedBy: string | undefined;
  #isRegistered = false;

  /** Takes over a handle that an op of `backend` gave. */
  constructor(backend: Backend, handle: unknown) {
    this.backend = backend;
    this.handle = handle;
    live++;
  }

  /** What freed the handle, in words for an error; undefined while it is in use. */
  get freedBy(): string | undefined {
    return this.#freedBy;
  }

  /** Frees the handle; a second call does nothing. */
  free(freedBy: string): void {
    if (this.#freedBy !== undefined) return;
    this.#freedBy = freedBy;
    if (this.#isRegistered) unreachable.unregister(this);
    this.backend.free(this.handle);
    noteFreed(this);
    live--;
  }

  /** Frees the handle some time after `tensor` was garbage collected, unless `free` was called before. */
  freeAfter(tensor: object): void {
    if (this.#isRegistered || this.#freedBy !== undefined) return;
    this.#isRegistered = true;
    unreachable.register(tensor, this, this);
  }
}
