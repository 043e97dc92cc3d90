import type { Precision } from '../recording.ts';

/** Half a unit in the last place, relative: 2^-p for a significand of p bits. Recordings in f64 are read as f32. */
const UNITS: Record<Precision, number> = { f64: 2 ** -24, f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -9 };
/** Units that one hook may add to what its inputs have; the largest of 5,000 hooks of 20 models was 2. */
const SUMS = 8;
const OPERANDS = 4;
/** How many times the largest difference before it a hook may have: a softmax or a cancelling sum enlarges what it gets. */
const GROWTH = 4;
/** How many floors no growth goes beyond, as long as no hook has exceeded what it is allowed. */
const MOST = 64;

/**
 * The differences that rounding explains along a pass, relative to the scale of a row. Arithmetic in a dtype of unit `u`
 * over sums of `K` terms gives an error of about `u sqrt(K)`, because roundings are as random steps; where operands alone are
 * rounded and sums are in f32, of about `u`. A hook then has the errors of its inputs, several times at most. So a hook whose
 * difference exceeds `floor + 4 (largest difference before)` has an error of its own.
 */
export class Rounding {
  readonly #floor: number;
  #before = 0;
  #hasDiverged = false;

  /**
   * @param precisions Those of the two passes: the coarser one counts.
   * @param width K, the largest number of terms of a sum.
   */
  constructor(precisions: readonly Precision[], width: number) {
    const sums = SUMS * UNITS.f32 * Math.sqrt(width);
    this.#floor = Math.max(...precisions.map((one) => (UNITS[one] > UNITS.f32 ? sums + OPERANDS * UNITS[one] : sums)));
  }

  /** The largest relative difference that rounding explains at the next hook. */
  get allowed(): number {
    const grown = this.#floor + GROWTH * this.#before;
    return this.#hasDiverged ? grown : Math.min(grown, MOST * this.#floor);
  }

  /** Takes note of the difference at a hook, which those after it inherit. */
  passed(relative: number): void {
    this.#hasDiverged ||= relative > this.allowed;
    this.#before = Math.max(this.#before, relative);
  }
}
