import { VitrineError } from '../../errors.ts';
import type { Activations } from '../../hooks/activations.ts';
import type { Health, Measures, Statistics } from '../../hooks/measurer.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/**
 * The logits and captures of a run. `dispose` frees them all.
 *
 * @template Captured The names and globs that were captured. Default: any, and `acts` is not used.
 */
export class Run<Captured extends string = never> {
  /** Captures by the names that were asked for. */
  readonly acts: Activations<Captured>;
  /** What was measured of activations, by the full names of their hooks. */
  readonly statistics: Readonly<Record<string, Statistics>>;
  /** Whether activations were finite, and their largest magnitudes, by the full names of their hooks. */
  readonly health: Readonly<Record<string, Health>>;
  readonly #logits: Tensor | undefined;
  readonly #until: string | undefined;

  /** @param until The hook at which the pass stopped; without logits. */
  constructor(
    acts: Activations<Captured>,
    { statistics, health }: Measures,
    logits: Tensor | undefined,
    until?: string,
  ) {
    this.acts = acts;
    this.statistics = statistics;
    this.health = health;
    this.#logits = logits;
    this.#until = until;
  }

  /**
   * `[rows, V]` f32, by default of all tokens.
   *
   * @throws {VitrineError} where the pass stopped before them.
   */
  get logits(): Tensor {
    if (this.#logits === undefined)
      throw new VitrineError(
        `run: the pass stopped at ${this.#until}, so that there are no logits. Leave out \`until\`.`,
      );
    return this.#logits;
  }

  /** Frees the logits and the captures. A field, so that it can be taken out of the run. */
  readonly dispose = (): void => {
    this.#logits?.dispose();
    for (const tensor of Object.values<Tensor>(this.acts)) tensor.dispose();
  };

  [Symbol.dispose](): void {
    this.dispose();
  }

  [Symbol.for('debug.description')](): string {
    return `Run ${Object.keys(this.acts).join(', ')}`;
  }
  /** One line for the logits, and one for each capture. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const logits = this.#logits ? `logits: ${String(this.#logits)}` : `no logits: stopped at ${this.#until}`;
    return ['Run', logits, ...Object.entries(this.acts).map(([name, tensor]) => `${name}: ${String(tensor)}`)].join(
      '\n  ',
    );
  }
}
