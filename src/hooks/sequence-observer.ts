import { scope } from '../tensor/scope.ts';
import { type Observer, type PassInfo, passInfo } from '../tensor/tap.ts';
import { concat, Tensor } from '../tensor/tensor.ts';
import type { HookRegistry } from './hook-registry.ts';

/** One sequence of a pass over several, and who observes it; those that enter at later layers come later. */
export interface ObservedSequence {
  /** Tokens that the pass computes. */
  readonly tokens: number;
  /** Rows of logits that it computes. */
  readonly logitRows: number;
  /** They see each activation in this order. */
  readonly observers: readonly Observer[];
}

/** The rows of experts: `blocks.3.mlp.experts.5.hook_pre` is one of those under `blocks.3.mlp.experts.5`. */
const EXPERT = /^(.*\.experts\.\d+)\./;

/**
 * Shows the sequences of a pass over several to observers of their own, each as if its sequence ran alone: activations with
 * the rows of all sequences are cut, and joined again where an observer replaced a part.
 */
export class SequenceObserver implements Observer {
  readonly #hooks: HookRegistry;
  readonly #sequences: readonly ObservedSequence[];
  /** The first row of each sequence, and the end of the last. */
  readonly #begins: readonly number[];
  /** For each expert, the rows of each sequence that chose it. */
  readonly #expertRows = new Map<string, readonly number[]>();

  constructor(hooks: HookRegistry, sequences: readonly ObservedSequence[]) {
    this.#hooks = hooks;
    this.#sequences = sequences;
    const begins = [0];
    for (const { tokens } of sequences) begins.push(begins.at(-1)! + tokens);
    this.#begins = begins;
  }

  wants(name: string): boolean {
    const wanted = (one: string): boolean =>
      this.#sequences.some(({ observers }) => observers.some((observer) => observer.wants(one)));
    if (wanted(name)) return true;
    // The rows of an expert are told apart by it.
    return name.endsWith('.hook_token_index') && this.#beside(name).some(wanted);
  }

  startPass({ index, sequences }: PassInfo): void {
    this.#sequences.forEach(({ observers }, i) => {
      for (const observer of observers) observer.startPass?.(passInfo(index, [sequences[i]]));
    });
  }

  visit(name: string, value: Tensor, sequence?: number): Tensor | undefined {
    const only = sequence ?? (this.#hasRowsOfAll(name) ? undefined : 0); // The first is alone where others enter later.
    if (only !== undefined) {
      const used = this.#shown(only, name, value);
      return used === value ? undefined : used;
    }
    const parts = this.#split(name, value);
    const used = parts.map((part, i) => this.#shown(i, name, part));
    return used.every((part, i) => part === parts[i]) ? undefined : concat(used);
  }

  #shown(sequence: number, name: string, value: Tensor): Tensor {
    let shown = value;
    for (const observer of this.#sequences[sequence].observers)
      if (observer.wants(name)) shown = observer.visit(name, shown) ?? shown;
    return shown;
  }

  #hasRowsOfAll(name: string): boolean {
    return /^[pl]\b/.test(this.#hooks.get(name)!.axes) || EXPERT.test(name);
  }

  /** The parts of the sequences that are in the pass: the first ones. */
  #split(name: string, value: Tensor): Tensor[] {
    const { axes, holdsRows } = this.#hooks.get(name)!;
    const expert = EXPERT.exec(name)?.[1];
    if (holdsRows && expert !== undefined) return this.#splitRows(expert, value);
    if (expert !== undefined) return value.split(this.#expertRows.get(expert)!, 0);
    const sizes: number[] = [];
    let left = value.shape[0];
    for (const { tokens, logitRows } of this.#sequences) {
      if (left === 0) break;
      sizes.push(axes.startsWith('l') ? logitRows : tokens);
      left -= sizes.at(-1)!;
    }
    return value.split(sizes, 0);
  }

  /** Rows of the pass that chose an expert, as rows of each sequence. */
  #splitRows(expert: string, value: Tensor): Tensor[] {
    const rows = value.integers();
    const own = this.#sequences.map((_, i) => {
      const [begin, end] = [this.#begins[i], this.#begins[i + 1]];
      return Int32Array.from(rows.filter((row) => row >= begin && row < end)).map((row) => row - begin);
    });
    this.#expertRows.set(
      expert,
      own.map(({ length }) => length),
    );
    return scope('', () => own.map((part) => Tensor.from(value.backend, part)));
  }

  /** The hooks of the same expert. */
  #beside(name: string): string[] {
    const path = `${EXPERT.exec(name)?.[1]}.`;
    return [...this.#hooks.keys()].filter((other) => other.startsWith(path));
  }
}
