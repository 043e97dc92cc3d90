import { setTimeout as sleep } from 'node:timers/promises';

import { HubUnreachableError } from './hub-error.ts';

/** The largest number of attempts without progress in between, and of attempts in all. */
const FRUITLESS_ATTEMPTS = 5;
const ATTEMPTS = 100;
/** The longest time in attempts without progress, as a multiple of the time that an answer may take. */
const PATIENCE = 3;
const FIRST_DELAY_MS = 300;
/** The longest wait that a server may ask for, and the longest sum of waits since the last progress. */
const LONGEST_WAIT_MS = 60_000;
const WAITS_MS = 120_000;

/** A failure after which another attempt may succeed. */
export class TransientError extends Error {
  /** The wait that the server asks for; undefined where it asks for none. */
  readonly waitMs: number | undefined;
  /** Whether the attempt received bytes that the next one need not. */
  readonly progressed: boolean;

  constructor(message: string, { waitMs, progressed = false }: { waitMs?: number; progressed?: boolean } = {}) {
    super(message);
    this.waitMs = waitMs;
    this.progressed = progressed;
  }
}

/** How to retry. */
export interface RetryOptions {
  /** The time that an attempt may take without progress. */
  readonly answerMs: number;
  readonly signal: AbortSignal | undefined;
  /** Called with a line about each failure before another attempt. */
  readonly onRetry: (text: string) => void;
}

/**
 * Repeats `attempt` while it throws {@link TransientError}, at growing intervals or after the wait that the server asks for: up
 * to five times without progress, and a hundred times in all.
 * @throws {HubUnreachableError} with the last failure, when it is given up
 */
export async function retry<T>(attempt: () => Promise<T>, { answerMs, signal, onRetry }: RetryOptions): Promise<T> {
  let failures = 0;
  let spent = 0;
  let waited = 0;
  for (let attempts = 1; ; attempts++) {
    signal?.throwIfAborted();
    const start = performance.now();
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof TransientError)) throw error;
      if (error.progressed) failures = spent = waited = 0;
      else spent += performance.now() - start;
      failures++;
      const wait = error.waitMs ?? FIRST_DELAY_MS * 2 ** (failures - 1);
      const giveUp = (why: string): never => {
        throw new HubUnreachableError(`${error.message}, ${why}. Try again later.`, { cause: error });
      };
      if (failures === FRUITLESS_ATTEMPTS || attempts === ATTEMPTS) giveUp(`after ${attempts} attempts`);
      if (spent > PATIENCE * answerMs) giveUp(`after ${attempts} attempts in ${(spent / 1000).toFixed(0)} s`);
      if (wait > LONGEST_WAIT_MS || waited + wait > WAITS_MS)
        giveUp(`and asks for a wait of ${(wait / 1000).toFixed(0)} s`);
      onRetry(`${error.message}; attempt ${failures + 1} of ${FRUITLESS_ATTEMPTS} in ${(wait / 1000).toFixed(1)} s`);
      await sleep(wait, undefined, { signal });
      waited += wait;
    }
  }
}
