import { VitrineError } from '../errors.ts';
import { askedCompute } from '../tensor/compute.ts';
import { elements } from '../tensor/dtype.ts';
import type { ModelInvariant } from '../tensor/invariant.ts';
import { own, scope } from '../tensor/scope.ts';
import { coordinates } from '../tensor/shape.ts';
import { observe, type Observer, type PassInfo, passInfo } from '../tensor/tap.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** An identity between activations that does not hold. */
export class InvariantError extends VitrineError {
  override readonly name = 'InvariantError';
  /** The left side: the hook that shows something else than the formula says, by its full name. */
  readonly hook: string;
  readonly layer: number | undefined;
  readonly formula: string;

  constructor({ hooks, layer, formula }: ModelInvariant, difference: string) {
    super(`${layer === undefined ? '' : `block ${layer}: `}${formula} does not hold: ${difference}`);
    this.hook = hooks[0];
    this.layer = layer;
    this.formula = formula;
  }
}

/** How far sides may be apart where operands of products are rounded to bf16, whose numbers have 8 bits. */
const BF16_TOLERANCE = 2e-2;

/**
 * Checks the invariants of a pass while it runs, each as soon as its activations are there, as edits before it have left them. An
 * activation is held until all that read it are checked.
 */
export class InvariantWatch implements Observer {
  /** The invariants that read a hook. */
  readonly #readers = new Map<string, ModelInvariant[]>();
  readonly #values = new Map<string, Tensor>();
  readonly #checked = new Set<ModelInvariant>();
  #pass: PassInfo = passInfo(0, []);

  constructor(invariants: readonly ModelInvariant[]) {
    for (const invariant of invariants)
      for (const hook of invariant.hooks) this.#readers.set(hook, [...(this.#readers.get(hook) ?? []), invariant]);
  }

  wants(name: string): boolean {
    return this.#readers.has(name);
  }

  startPass(pass: PassInfo): void {
    this.discard();
    this.#pass = pass;
  }

  /** @throws {InvariantError} for the first invariant that does not hold. */
  visit(name: string, value: Tensor): undefined {
    this.#values.set(
      name,
      scope('', () => own(value.reshape(value.shape))),
    );
    const readers = this.#readers.get(name)!;
    for (const invariant of readers) {
      if (!invariant.hooks.every((hook) => this.#values.has(hook))) continue;
      this.#check(invariant);
      this.#checked.add(invariant);
    }
    for (const hook of new Set(readers.flatMap(({ hooks }) => hooks))) this.#release(hook);
  }

  #check(invariant: ModelInvariant): void {
    // Experts that no row chose have no rows.
    if (invariant.hooks.some((hook) => elements(this.#values.get(hook)!.shape) === 0)) return;
    const problem = scope('', () =>
      observe([], () => {
        const [left, right] = invariant.sides((hook) => this.#values.get(hook)!, this.#pass);
        const isLoose = invariant.tolerance > 0 && askedCompute() === 'bf16';
        return describeDifference(left, right, isLoose ? BF16_TOLERANCE : invariant.tolerance);
      }),
    );
    if (problem !== undefined) throw new InvariantError(invariant, problem);
  }

  /** Frees an activation that no invariant waits for. */
  #release(hook: string): void {
    if (!this.#readers.get(hook)!.every((invariant) => this.#checked.has(invariant))) return;
    this.#values.get(hook)?.dispose();
    this.#values.delete(hook);
  }

  /** Frees what is held; a new pass may begin. */
  discard(): void {
    for (const value of this.#values.values()) value.dispose();
    this.#values.clear();
    this.#checked.clear();
  }
}

/**
 * Where two sides are furthest apart, if that is too far.
 *
 * @param tolerance A part of the largest number in a row of the right side; 0: they have to be equal to the bit.
 */
function describeDifference(left: Tensor, right: Tensor, tolerance: number): string | undefined {
  const [shown, wanted] = [left.data(), right.data()];
  const width = left.shape.at(-1) ?? 1;
  let [worst, at] = [0, -1];
  for (let row = 0; row < elements(left.shape); row += width) {
    let largest = 0;
    for (let i = row; i < row + width; i++) largest = Math.max(largest, Math.abs(wanted[i]));
    for (let i = row; i < row + width; i++) {
      if (shown[i] === wanted[i] || (Number.isNaN(shown[i]) && Number.isNaN(wanted[i]))) continue;
      const apart = Math.abs(shown[i] - wanted[i]) / largest;
      const part = Number.isNaN(apart) ? Infinity : apart;
      if (part > tolerance && part > worst) [worst, at] = [part, i];
    }
  }
  if (at < 0) return undefined;
  return (
    `at [${coordinates(at, left.shape).join(', ')}] the left side is ${shown[at]} and the right side ${wanted[at]}, ` +
    `${worst.toExponential(1)} of the largest number in the row apart (allowed: ${tolerance}).`
  );
}
