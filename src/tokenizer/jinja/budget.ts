/** A template went beyond its limits. */
export class LimitError extends Error {}

/** A template comes with the model, from whoever made it: it gets time and memory for any honest conversation. */
const LIMITS = {
  /** Characters of any string made on the way; a context of a million tokens has about as many. */
  text: 4 * 2 ** 20,
  items: 1_000_000,
  /** What all work may cost, in evaluated expressions: in all about three seconds. */
  steps: 10_000_000,
};
/** Characters that are read or written in the time of a step, where each one costs most: replaced by a function. */
const CHARACTERS_PER_STEP = 4;

/**
 * What a template may still do. Its use is counted, not timed, so that the same template always ends the same way. What
 * could make much out of little asks before it is made.
 */
export class Budget {
  private steps = 0;

  spend(steps: number): void {
    this.steps += steps;
    if (this.steps > LIMITS.steps) throw tooMuch(LIMITS.steps, 'steps');
  }

  /** A text is `length` long, and nobody has gone through it. */
  room(length: number): void {
    if (length > LIMITS.text) throw tooMuch(LIMITS.text, 'characters of text');
  }

  /** A text of `length` is about to be read or made. */
  text(length: number): void {
    this.room(length);
    this.spend(1 + Math.trunc(length / CHARACTERS_PER_STEP));
  }

  /** A list of `length` is about to be read or made. */
  items(length: number): void {
    if (length > LIMITS.items) throw tooMuch(LIMITS.items, 'items in a list');
    this.spend(1 + length);
  }
}

const tooMuch = (limit: number, what: string): LimitError =>
  new LimitError(`more than ${limit} ${what}; use another template`);
