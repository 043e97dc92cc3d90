/** A marker, or text without markers. */
export type ScannedPiece = { readonly marker: string } | { readonly text: string };

/** Finds markers in text that arrives in pieces. Holds back only text that may be the beginning of a marker. */
export class MarkerScanner {
  readonly #markers: readonly string[];
  readonly #pattern: RegExp;
  readonly #longest: number;
  #held = '';

  /** @param markers The texts to find; none may be the beginning of another. */
  constructor(markers: readonly string[]) {
    this.#markers = markers;
    this.#pattern = new RegExp(markers.map((marker) => marker.replace(/[|/[\]]/g, '\\$&')).join('|'), 'g');
    this.#longest = Math.max(...markers.map(({ length }) => length));
  }

  /** Reads the next piece. @returns the markers and texts that are now certain. */
  push(piece: string): ScannedPiece[] {
    const text = this.#held + piece;
    const found: ScannedPiece[] = [];
    let from = 0;
    for (const { 0: marker, index } of text.matchAll(this.#pattern)) {
      if (index > from) found.push({ text: text.slice(from, index) });
      found.push({ marker });
      from = index + marker.length;
    }
    const safe = this.#safeEnd(text, from);
    if (safe > from) found.push({ text: text.slice(from, safe) });
    this.#held = text.slice(safe);
    return found;
  }

  /** The text that was held back, once it is known to begin no marker. */
  flush(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** The first position at or after `from` where a marker may begin that is not complete; the length if there is none. */
  #safeEnd(text: string, from: number): number {
    for (let at = Math.max(from, text.length - this.#longest + 1); at < text.length; at++) {
      const end = text.slice(at);
      if (this.#markers.some((marker) => marker.startsWith(end))) return at;
    }
    return text.length;
  }
}
