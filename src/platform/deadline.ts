import { Script } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

/** Synchronous work was stopped because its time was over. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** The user pressed Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** Takes the body from a stack, so that a deadline may stand within another. */
const bodies: (() => unknown)[] = [];
const SLOT = Symbol.for('vitrine.deadline');
const script = new Script("globalThis[Symbol.for('vitrine.deadline')]()", { filename: 'vitrine-deadline.js' });

/**
 * Runs synchronous work that a model's files decide on (a template, a pattern), and ends it after `ms` milliseconds
 * whatever it does, within a regular expression too. Ctrl-C ends it at once, and then does what it does elsewhere. A call costs about 0.1 ms.
 *
 * What is stopped runs no `finally`: the body must not hold anything that it has to give back. Memory is not bounded by this.
 *
 * @param what Names the work in the error, such as `chat template`.
 * @throws DeadlineError when the time is over; Interrupted after Ctrl-C; what the body throws.
 */
export function withDeadline<T>(ms: number, what: string, body: () => T): T {
  const depth = bodies.push(body);
  (globalThis as Record<symbol, unknown>)[SLOT] = () => bodies[bodies.length - 1]();
  try {
    return script.runInThisContext({ timeout: ms, breakOnSigint: isMainThread }) as T;
  } catch (error) {
    const code = (error as { code?: unknown } | undefined)?.code;
    if (code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
      throw new DeadlineError(`${what}: stopped after ${ms / 1000} s`, { cause: error });
    if (code !== 'ERR_SCRIPT_EXECUTION_INTERRUPTED') throw error;
    process.kill(process.pid, 'SIGINT'); // The handlers of the process were off meanwhile: now they hear it.
    throw new Interrupted(`${what}: interrupted`, { cause: error });
  } finally {
    bodies.length = depth - 1;
  }
}
