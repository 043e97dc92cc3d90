import { Worker } from 'node:worker_threads';

/** The listeners to Ctrl-C, of which the last one added is called. */
export class CtrlC {
  readonly #listeners: (() => void)[] = [];
  readonly #arm: (() => void) | undefined;

  /** @param detect Calls `press` at Ctrl-C; returns a function that waits for the next one. Default: only `press()` is heard. */
  constructor(detect?: (press: () => void) => () => void) {
    this.#arm = detect?.(() => {
      this.press();
    });
  }

  /** Calls `listener` at Ctrl-C, until the returned function is called. */
  listen(listener: () => void): () => void {
    this.#listeners.push(listener);
    this.#arm?.();
    return () => {
      this.#listeners.splice(this.#listeners.lastIndexOf(listener), 1);
      if (this.#listeners.length > 0) this.#arm?.();
    };
  }

  /** Calls the last listener, as Ctrl-C does. */
  press(): void {
    this.#listeners.at(-1)?.();
  }
}

/** The program of the thread: at each message it posts `waiting`, waits for one Ctrl-C, and posts `pressed`. */
const THREAD = `
  const { parentPort } = require('node:worker_threads');
  const { Script } = require('node:vm');
  globalThis.waiting = () => parentPort.postMessage('waiting');
  const wait = new Script('waiting(); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)');
  parentPort.on('message', () => {
    try { wait.runInThisContext({ breakOnSigint: true }); } catch { parentPort.postMessage('pressed'); }
  });`;

/**
 * Detects Ctrl-C in a thread, for {@link CtrlC}. A SIGINT listener of the process is called only when the main thread is free,
 * which a layer of a long prompt can delay by many seconds, and further Ctrl-C are lost meanwhile. Here the system's own handler is
 * active again as soon as one Ctrl-C was detected, so that a second one ends the process at once.
 * @param onWaiting Called when the thread begins to wait for a Ctrl-C.
 * @returns A function that waits for the next Ctrl-C.
 */
export function detectInThread(press: () => void, onWaiting: () => void = () => undefined): () => void {
  let armed = false;
  const detected = (): void => {
    armed = false;
    press();
  };
  // A small heap is enough for these few lines, also where address space is limited.
  const limits = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, codeRangeSizeMb: 8, stackSizeMb: 1 };
  const thread = new Worker(THREAD, { eval: true, execArgv: [], resourceLimits: limits });
  thread
    .on('message', (message: 'waiting' | 'pressed') => {
      if (message === 'waiting') onWaiting();
      else detected();
    })
    .on('error', () => process.once('SIGINT', detected));
  thread.unref();
  return () => {
    if (!armed) thread.postMessage('arm');
    armed = true;
  };
}
