import { Worker } from 'node:worker_threads';

/** Who hears Ctrl-C: the last who asked. */
export class CtrlC {
  readonly #listeners: (() => void)[] = [];
  readonly #arm: (() => void) | undefined;

  /** @param listen Starts to hear Ctrl-C; calls `press` when it came, and gives back how to hear the next one. */
  constructor(listen?: (press: () => void) => () => void) {
    this.#arm = listen?.(() => {
      this.press();
    });
  }

  /** Calls `heard` at Ctrl-C, until what is given back is called. */
  listen(heard: () => void): () => void {
    this.#listeners.push(heard);
    this.#arm?.();
    return () => {
      this.#listeners.splice(this.#listeners.lastIndexOf(heard), 1);
      if (this.#listeners.length > 0) this.#arm?.();
    };
  }

  press(): void {
    this.#listeners.at(-1)?.();
  }
}

/** Waits for Ctrl-C, says so, and waits for the next one when it is told to. In between, Ctrl-C ends the process. */
const THREAD = `
  const { parentPort } = require('node:worker_threads');
  const { Script } = require('node:vm');
  const wait = new Script('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)');
  parentPort.on('message', () => {
    try { wait.runInThisContext({ breakOnSigint: true }); } catch { parentPort.postMessage('pressed'); }
  });`;

/**
 * Hears Ctrl-C in a thread of its own. A listener of the process would be called when its thread is free, and would meanwhile
 * swallow every further Ctrl-C: a layer of a long prompt, or a product, can take it for many seconds. Here the system's own answer
 * to the signal is in force again as soon as one was heard, so that the second one always ends the process.
 */
export function inThread(press: () => void): () => void {
  let armed = false;
  const heard = (): void => {
    armed = false;
    press();
  };
  // It runs those few lines: a small heap is enough, also where address space is limited.
  const limits = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, codeRangeSizeMb: 8, stackSizeMb: 1 };
  const thread = new Worker(THREAD, { eval: true, execArgv: [], resourceLimits: limits });
  thread.on('message', heard).on('error', () => process.once('SIGINT', heard));
  thread.unref();
  return () => {
    if (!armed) thread.postMessage('arm');
    armed = true;
  };
}
