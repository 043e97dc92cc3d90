import { VitrineError } from '../../errors.ts';

/** The text that became certain with a push. */
export interface StopResult {
  /** Text that is part of no stop string, whatever follows. */
  readonly text: string;
  /** The stop string that ended the text; it and what follows it are never shown. */
  readonly stopped?: string;
}

/**
 * Finds stop strings in text that arrives in pieces, and holds back only what may be the beginning of one: the longest
 * end of the text that begins a stop string. Where the pieces are cut makes no difference.
 *
 * The stop string that is complete first wins, so that no token is generated to see whether a longer one follows; of
 * those that end at the same character, the longest. Time is linear in the text, times the number of stop strings.
 */
export class StopStrings {
  readonly #matchers: readonly Matcher[];
  #held = '';
  #stopped: string | undefined;

  /** @throws {VitrineError} for an empty stop string: it would end every text at once. */
  constructor(stops: readonly string[]) {
    if (stops.some((stop: unknown) => typeof stop !== 'string' || stop === '')) {
      throw new VitrineError(`Stop strings must be strings of at least one character, got ${JSON.stringify(stops)}`);
    }
    // Longest first: the first to be complete at a character is then the one to take.
    this.#matchers = stops.toSorted((a, b) => b.length - a.length).map((stop) => new Matcher(stop));
  }

  /** Takes the next piece; once a stop string was found, further pieces are ignored. */
  push(piece: string): StopResult {
    if (this.#stopped !== undefined) return { text: '', stopped: this.#stopped };
    const before = this.#held.length;
    const text = this.#held + piece;
    for (let i = before; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      for (const matcher of this.#matchers) matcher.advance(unit);
      const found = this.#matchers.find((matcher) => matcher.complete);
      if (found !== undefined) {
        this.#held = '';
        this.#stopped = found.stop;
        return { text: text.slice(0, i + 1 - found.stop.length), stopped: found.stop };
      }
    }
    const safe = text.length - Math.max(0, ...this.#matchers.map((matcher) => matcher.matched));
    this.#held = text.slice(safe);
    return { text: text.slice(0, safe) };
  }

  /** The text is over: what was held back began no stop string after all. */
  end(): StopResult {
    if (this.#stopped !== undefined) return { text: '', stopped: this.#stopped };
    const text = this.#held;
    this.#held = '';
    for (const matcher of this.#matchers) matcher.matched = 0;
    return { text };
  }
}

/** Knuth, Morris and Pratt: how much of one stop string the end of the text matches, without looking back at the text. */
class Matcher {
  readonly stop: string;
  /** UTF-16 units of the stop string that the text now ends with. */
  matched = 0;
  /** borders[n]: length of the longest proper beginning of the first n units that also ends them. */
  readonly #borders: number[] = [0, 0];

  constructor(stop: string) {
    this.stop = stop;
    for (let n = 1; n < stop.length; n++) this.#borders.push(this.#extend(this.#borders[n], stop.charCodeAt(n)));
  }

  get complete(): boolean {
    return this.matched === this.stop.length;
  }

  advance(unit: number): void {
    this.matched = this.#extend(this.matched, unit);
  }

  #extend(length: number, unit: number): number {
    while (length > 0 && this.stop.charCodeAt(length) !== unit) length = this.#borders[length];
    return this.stop.charCodeAt(length) === unit ? length + 1 : 0;
  }
}
