import type { Observer } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type Pass, runPass } from '../passes.ts';

/** Ends a pass at a hook. */
export class StopAt implements Observer {
  readonly #name: string;
  #left: number;

  /** @param sequences Those of the pass: each may have the hook to itself. */
  constructor(name: string, sequences: number) {
    this.#name = name;
    this.#left = sequences;
  }

  wants(name: string): boolean {
    return name === this.#name;
  }

  visit(_name: string, _value: Tensor, sequence?: number): undefined {
    if (sequence === undefined || --this.#left === 0) throw new PassEnded();
  }
}

/** Unwinds a pass that has shown what it was run for. */
class PassEnded extends Error {}

/** The logits; undefined where the pass was ended before them. */
export function runUntil(pass: Pass): Tensor | undefined {
  try {
    return runPass(pass);
  } catch (error) {
    if (error instanceof PassEnded) return undefined;
    throw error;
  }
}
