import { colorsFor } from './printable.ts';

/** The speed of an answer; times in seconds, rates in tokens per second. */
export interface Speed {
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly timeToFirstToken: number;
  readonly prefill: number;
  /** The rate of the tokens after the first; null where there are none. */
  readonly decode: number | null;
}

/** Measures the speed of an answer, from its construction on. */
export class SpeedMeter {
  readonly #promptTokens: number;
  readonly #start = performance.now();
  #first = 0;
  #last = 0;
  #tokens = 0;

  /** @param promptTokens The number of tokens that are processed before the first new one. */
  constructor(promptTokens: number) {
    this.#promptTokens = promptTokens;
  }

  /** Counts a token that was generated now. */
  count(): void {
    this.#last = performance.now();
    if (this.#tokens === 0) this.#first = this.#last;
    this.#tokens += 1;
  }

  /** The speed so far; undefined before the first token. */
  get speed(): Speed | undefined {
    if (this.#tokens === 0) return undefined;
    const timeToFirstToken = (this.#first - this.#start) / 1000;
    return {
      promptTokens: this.#promptTokens,
      newTokens: this.#tokens,
      timeToFirstToken,
      prefill: this.#promptTokens / timeToFirstToken,
      decode: this.#tokens > 1 ? (this.#tokens - 1) / ((this.#last - this.#first) / 1000) : null,
    };
  }
}

/** Prints the speed to stderr, in one line. */
export function printSpeed(speed: Speed | undefined): void {
  if (speed === undefined) return;
  const { promptTokens, newTokens, timeToFirstToken, prefill, decode } = speed;
  const parts = [
    `prefill ${promptTokens} tokens, ${prefill.toFixed(1)} tok/s`,
    `first token after ${timeToFirstToken.toFixed(2)} s`,
    `decode ${newTokens} tokens${decode === null ? '' : `, ${decode.toFixed(1)} tok/s`}`,
  ];
  const { dim } = colorsFor(process.stderr);
  process.stderr.write(`${dim(parts.join('; '))}\n`);
}
