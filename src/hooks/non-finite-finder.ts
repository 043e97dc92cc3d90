import type { Hook } from '../tensor/hook-point.ts';
import { coordinates } from '../tensor/shape.ts';
import type { Observer } from '../tensor/tap.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { HookRegistry } from './hook-registry.ts';

/** A number of an activation that is NaN or infinite. */
export interface NonFinite {
  readonly hook: Hook;
  readonly value: number;
  /** Its index along each axis of the activation. */
  readonly at: readonly number[];
  /** Whether an edit put it there. */
  readonly byEdit: boolean;
}

/**
 * Finds the first activation, in the order of the pass, that holds NaN or Infinity. -Infinity where the hook says that it
 * stands for what is hidden does not count.
 */
export class NonFiniteFinder {
  /** The observers of a pass: this finder alone or, where edits act, before and after them. */
  readonly observers: readonly Observer[];
  found: NonFinite | undefined;
  readonly #hooks: HookRegistry;
  readonly #windows: readonly number[];

  /**
   * @param windows Keys that a query of each layer sees, itself included.
   * @param editor Edits that go on acting.
   */
  constructor(hooks: HookRegistry, windows: readonly number[], editor?: Observer) {
    this.#hooks = hooks;
    this.#windows = windows;
    const search = (byEdit: boolean): Observer => ({
      wants: (name) => this.#searches(name),
      visit: (name, value) => {
        this.#search(this.#hooks.get(name)!, value, byEdit);
        return undefined;
      },
    });
    this.observers = editor ? [search(false), editor, search(true)] : [search(false)];
  }

  /** Derived activations are computed from others, which are looked at. */
  #searches(name: string): boolean {
    const hook = this.#hooks.get(name);
    return this.found === undefined && hook !== undefined && !hook.derived;
  }

  #search(hook: Hook, value: Tensor, byEdit: boolean): void {
    if (value.dtype !== 'f32' || this.found !== undefined) return;
    const numbers = value.data();
    const isHidden = this.#hidden(hook, value);
    const bad = numbers.findIndex((x, i) => !Number.isFinite(x) && !(x === -Infinity && isHidden(i)));
    if (bad >= 0) this.found = { hook, value: numbers[bad], at: coordinates(bad, value.shape), byEdit };
  }

  /** Whether -Infinity at an index stands for something hidden. */
  #hidden({ axes, hidden, layer = 0 }: Hook, { shape }: Tensor): (index: number) => boolean {
    if (hidden !== -Infinity) return () => false;
    if (!axes.includes('t')) return () => true;
    const [, T, S] = shape;
    return (index) => {
      const query = S - T + (Math.floor(index / S) % T);
      const key = index % S;
      return key > query || key <= query - this.#windows[layer];
    };
  }
}
