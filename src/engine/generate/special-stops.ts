import { StopStrings } from './stop-strings.ts';

/** Text of an answer before its channels are told apart: plain text, or a token that does not appear as text. */
export interface Piece {
  /** For a token: its spelling. */
  readonly text: string;
  /** The id of a special token or of a marker of the channels; undefined for plain text. */
  readonly token?: number;
}

/**
 * Finds stop strings that spell tokens which the text leaves out, such as `<|im_start|>`, alone or within longer stop
 * strings. Pieces that cannot be part of one are given out as they came.
 */
export class SpecialStops {
  readonly #stops: StopStrings;
  #held: Piece[] = [];
  /** Characters of `#held` that belong to no stop string; less than its first piece has, which is not divided then. */
  #certain = 0;

  /** Whether there is nothing to find. */
  readonly isEmpty: boolean;

  constructor(stops: readonly string[]) {
    this.isEmpty = stops.length === 0;
    this.#stops = new StopStrings(stops);
  }

  /** Takes the next piece; once a stop string was found, further pieces are ignored. */
  push(piece: Piece): { pieces: Piece[]; stopped: string | undefined } {
    const { text, stopped } = this.#stops.push(piece.text);
    if (piece.text !== '') this.#held.push(piece);
    this.#certain += text.length;
    return { pieces: this.#release(), stopped };
  }

  /** The text is over: what was held back began no stop string after all. */
  end(): Piece[] {
    this.#certain += this.#stops.end().text.length;
    return this.#release();
  }

  #release(): Piece[] {
    const released: Piece[] = [];
    for (let [first] = this.#held; this.#held.length > 0; [first] = this.#held) {
      const { length } = first.text;
      if (length <= this.#certain) {
        released.push(first);
        this.#held.shift();
        this.#certain -= length;
      } else {
        if (first.token === undefined && this.#certain > 0) {
          released.push({ text: first.text.slice(0, this.#certain) });
          this.#held[0] = { text: first.text.slice(this.#certain) };
          this.#certain = 0;
        }
        break;
      }
    }
    return released;
  }
}
