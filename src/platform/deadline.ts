import { Script } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

/** Synchronous work was ended at its deadline. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
}

/** Synchronous work was ended because the user pressed Ctrl-C. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** The bodies that run, the innermost last: a body may set a deadline of its own. */
const bodies: (() => unknown)[] = [];
const SLOT = Symbol.for('vitrine.deadline');
const script = new Script("globalThis[Symbol.for('vitrine.deadline')]()", { filename: 'vitrine-deadline.js' });

/**
 * Runs synchronous work whose time a model's files decide (a template, a pattern), and ends it after `ms` milliseconds
 * whatever it does, even within a regular expression. Ctrl-C ends it at once; the process's handlers of SIGINT run then. A
 * call costs about 0.1 ms.
 *
 * Work that is ended runs no `finally`: the body must hold nothing that has to be freed. Its memory is not limited.
 *
 * @param what Names the work in the error, such as `chat template`.
 * @throws {DeadlineError} when the time is over.
 * @throws {Interrupted} after Ctrl-C.
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
    process.kill(process.pid, 'SIGINT'); // The process's own handlers were off meanwhile.
    throw new Interrupted(`${what}: interrupted`, { cause: error });
  } finally {
    bodies.length = depth - 1;
  }
}
