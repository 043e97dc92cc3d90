/** Random numbers for one case of a fuzz target: the same seed and case give the same numbers on every machine. */
export class Random {
  #state;

  /**
   * @param {number} seed
   * @param {number} index The index of the case.
   */
  constructor(seed, index) {
    this.#state = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
    for (let i = 0; i < 4; i++) this.#next();
  }

  /** 32 random bits (mulberry32). */
  #next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** From 0 up to, not including, 1. */
  real() {
    return this.#next() / 2 ** 32;
  }

  /**
   * A whole number from 0 to `count - 1`.
   * @param {number} count
   */
  int(count) {
    return Math.floor(this.real() * count);
  }

  /** @param {number} probability */
  chance(probability) {
    return this.real() < probability;
  }

  /**
   * @template T
   * @param {readonly T[]} list
   * @returns {T}
   */
  pick(list) {
    return list[this.int(list.length)];
  }

  /** @param {number} length */
  bytes(length) {
    return Uint8Array.from({ length }, () => this.int(256));
  }
}
