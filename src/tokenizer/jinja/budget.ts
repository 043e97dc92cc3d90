/** A template exceeded its budget. */
export class LimitError extends Error {}

/** Templates come with models and are not trusted. The limits suffice for any real conversation. */
const LIMITS = {
  /** Characters of any one string; a context of a million tokens has about as many. */
  text: 4 * 2 ** 20,
  /** Items of any one list. */
  items: 1_000_000,
  /** The cost of all work. A conversation of a million characters takes one or two million. */
  steps: 10_000_000,
};
/** Characters read or written per step: 16 bytes in a string with a character beyond Latin-1. */
const CHARACTERS_PER_STEP = 8;

/**
 * Counts the work of rendering a template, and ends it at a limit. The work is counted rather than timed, so that a template
 * always ends in the same way. Operations of variable cost spend before they begin.
 *
 * A step is the evaluation of one expression, or 16 bytes of new data. Memory that is freed does not count back, so the
 * limit of steps bounds the memory as well: 160 MB.
 *
 * All methods throw LimitError when the limit is exceeded.
 */
export class Budget {
  #steps = 0;

  /** Spends steps. NaN, such as a width that is no number, exceeds the limit. */
  spend(steps: number): void {
    this.#steps += steps;
    if (!(this.#steps <= LIMITS.steps)) throw limitError(LIMITS.steps, 'steps');
  }

  /** Checks the length of a text that is not read: a concatenation, which JavaScript does not copy. */
  checkLength(length: number): void {
    if (!(length <= LIMITS.text)) throw limitError(LIMITS.text, 'characters of text');
  }

  /** Spends the cost of reading or making a text. */
  spendText(length: number): void {
    this.checkLength(length);
    this.spend(1 + Math.trunc(length / CHARACTERS_PER_STEP));
  }

  /** Spends the cost of splitting a text into a list of its characters. */
  spendCharacters(length: number): void {
    this.checkLength(length);
    this.spend(1 + 3 * length);
  }

  /** Spends the cost of reading or making a list. */
  spendItems(length: number): void {
    if (!(length <= LIMITS.items)) throw limitError(LIMITS.items, 'items in a list');
    this.spend(2 + length);
  }

  /** Spends the cost of making an object with `size` entries. */
  spendObject(size = 0): void {
    if (!(size <= LIMITS.items)) throw limitError(LIMITS.items, 'items in a list');
    this.spend(8 + 8 * size);
  }
}

const limitError = (limit: number, what: string): LimitError =>
  new LimitError(`more than ${limit} ${what}; use another template`);
