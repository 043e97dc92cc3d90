import type { Observer } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Finds the first residual stream that holds a NaN, while another observer goes on editing. */
export class NanFinder implements Observer {
  /** Its hook name, once there is one. */
  found: string | undefined;
  readonly #inner: Observer | undefined;

  constructor(inner?: Observer) {
    this.#inner = inner;
  }

  wants(name: string): boolean {
    return name === 'hook_embed' || name.endsWith('.hook_resid_post') || (this.#inner?.wants(name) ?? false);
  }

  visit(name: string, value: Tensor): Tensor | undefined {
    const replaced = this.#inner?.wants(name) ? this.#inner.visit(name, value) : undefined;
    if (this.found === undefined && (replaced ?? value).data().some(Number.isNaN)) this.found = name;
    return replaced;
  }
}
