/** A template went beyond its limits. */
export class LimitError extends Error {}

/** A template comes with the model, from whoever made it: it gets time and memory for any honest conversation. */
const LIMITS = {
  /** Characters of any string made on the way; a context of a million tokens has about as many. */
  text: 4 * 2 ** 20,
  items: 1_000_000,
  /** What all work may cost. A conversation of a million characters takes one or two million. */
  steps: 10_000_000,
};
/** Characters that are read or written for a step: they take 16 bytes where one of them is beyond Latin-1. */
const CHARACTERS_PER_STEP = 8;

/**
 * What a template may still do. Its use is counted, not timed, so that the same template always ends the same way. What
 * could make or read much asks before it does.
 *
 * A step is the evaluation of an expression, and pays for about 16 bytes that are made. What was freed again is not
 * given back, so that all steps together bound the memory: 160 MB.
 */
export class Budget {
  #steps = 0;

  /** @param steps Any number; what is no number (a width of NaN) is too much. */
  spend(steps: number): void {
    this.#steps += steps;
    if (!(this.#steps <= LIMITS.steps)) throw limitError(LIMITS.steps, 'steps');
  }

  /** A text is `length` long, and nobody has gone through it. */
  checkLength(length: number): void {
    if (!(length <= LIMITS.text)) throw limitError(LIMITS.text, 'characters of text');
  }

  /** A text of `length` is about to be read or made. */
  spendText(length: number): void {
    this.checkLength(length);
    this.spend(1 + Math.trunc(length / CHARACTERS_PER_STEP));
  }

  /** A text of `length` is about to be taken apart: each of its characters becomes a text, and an item of a list. */
  spendCharacters(length: number): void {
    this.checkLength(length);
    this.spend(1 + 3 * length);
  }

  /** A list of `length` is about to be read or made. */
  spendItems(length: number): void {
    if (!(length <= LIMITS.items)) throw limitError(LIMITS.items, 'items in a list');
    this.spend(2 + length);
  }

  /** An object of its own is about to be made, with `size` parts that have names or are objects themselves. */
  spendObject(size = 0): void {
    if (!(size <= LIMITS.items)) throw limitError(LIMITS.items, 'items in a list');
    this.spend(8 + 8 * size);
  }
}

const limitError = (limit: number, what: string): LimitError =>
  new LimitError(`more than ${limit} ${what}; use another template`);
