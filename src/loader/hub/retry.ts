import { setTimeout as sleep } from 'node:timers/promises';

import { HubUnreachableError } from './hub-error.ts';

/** Attempts one after another that bring nothing, and attempts in all. */
const FRUITLESS_ATTEMPTS = 5;
const ATTEMPTS = 100;
/** Time spent in attempts that bring nothing, as a multiple of the time that an answer may take. */
const PATIENCE = 3;
const FIRST_DELAY_MS = 300;
/** Waits that a server asks for: one, and all since the last progress. */
const LONGEST_WAIT_MS = 60_000;
const WAITS_MS = 120_000;

/** A failure after which another attempt may well succeed. */
export class TransientError extends Error {
  /** How long the server wants us to wait. */
  readonly waitMs: number | undefined;
  /** Whether the attempt brought something, so that the next one has less to do. */
  readonly progressed: boolean;

  constructor(message: string, { waitMs, progressed = false }: { waitMs?: number; progressed?: boolean } = {}) {
    super(message);
    this.waitMs = waitMs;
    this.progressed = progressed;
  }
}

export interface RetryOptions {
  /** How long an attempt may take without bringing anything. */
  readonly answerMs: number;
  readonly signal: AbortSignal | undefined;
  /** Hears of each failure after which there is another attempt, in one line. */
  readonly onRetry: (text: string) => void;
}

/**
 * Repeats `attempt` while it throws TransientError: at growing intervals, or when the server says; as often as it makes
 * progress, up to a hundred times, and five times without.
 * @throws HubUnreachableError when it is given up, with the last failure.
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
