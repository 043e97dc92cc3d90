import type { Observer } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Hook } from './hook-point.ts';

/** A number that is none. */
export interface NonFinite {
  readonly hook: Hook;
  readonly value: number;
  /** Where in the activation. */
  readonly at: readonly number[];
  /** Whether an edit put it there. */
  readonly byEdit: boolean;
}

/**
 * Finds the first activation, in the order of the pass, that holds NaN or Infinity. The -Infinity of scores that are
 * masked, and of sinks that take nothing, is meant.
 */
export class NonFiniteFinder implements Observer {
  found: NonFinite | undefined;
  readonly #hooks: ReadonlyMap<string, Hook>;
  readonly #windows: readonly number[];
  readonly #editor: Observer | undefined;

  /**
   * @param windows Keys that a query of each layer sees, itself included.
   * @param editor Edits that go on acting.
   */
  constructor(hooks: ReadonlyMap<string, Hook>, windows: readonly number[], editor?: Observer) {
    this.#hooks = hooks;
    this.#windows = windows;
    this.#editor = editor;
  }

  wants(name: string): boolean {
    return this.#looksAt(name) || (this.#editor?.wants(name) ?? false);
  }

  visit(name: string, value: Tensor): Tensor | undefined {
    if (this.#looksAt(name)) this.#look(this.#hooks.get(name)!, value, false);
    const replaced = this.#editor?.wants(name) ? this.#editor.visit(name, value) : undefined;
    if (replaced !== undefined && this.#looksAt(name)) this.#look(this.#hooks.get(name)!, replaced, true);
    return replaced;
  }

  /** What is computed only for those who look comes of what the pass itself computes. */
  #looksAt(name: string): boolean {
    const hook = this.#hooks.get(name);
    return this.found === undefined && hook !== undefined && !hook.point.derived;
  }

  #look(hook: Hook, value: Tensor, byEdit: boolean): void {
    if (value.dtype !== 'f32') return;
    const numbers = value.data();
    const isMeant = this.#meant(hook, value);
    const bad = numbers.findIndex((x, i) => !Number.isFinite(x) && !(x === -Infinity && isMeant(i)));
    if (bad >= 0) this.found = { hook, value: numbers[bad], at: coordinates(bad, value.shape), byEdit };
  }

  /** Whether -Infinity at an index belongs there. */
  #meant({ point, layer = 0 }: Hook, { shape }: Tensor): (index: number) => boolean {
    if (point.name === 'attn.hook_sink_logit') return () => true;
    if (point.hidden !== -Infinity) return () => false;
    const [, T, S] = shape;
    return (index) => {
      const query = S - T + (Math.floor(index / S) % T);
      const key = index % S;
      return key > query || key <= query - this.#windows[layer];
    };
  }
}

function coordinates(index: number, shape: readonly number[]): number[] {
  let left = index;
  return shape
    .toReversed()
    .map((size) => {
      const at = left % size;
      left = Math.floor(left / size);
      return at;
    })
    .toReversed();
}
