// Processes that run tests on mutated code, each with one job at a time.
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';

const CHILD = new URL('mutant-child.mjs', import.meta.url);
/** A process is replaced after so many jobs, or at this size: every job leaves modules behind. */
const JOBS = 40;
const MEGABYTES = 1500;
/** How often the time of a job is looked at, in ms. */
const PERIOD = 200;

export class Pool {
  #size;
  #args;
  /** @type {Set<Process>} */
  #processes = new Set();

  constructor(size, args) {
    this.#size = size;
    this.#args = args;
  }

  /**
   * Does something with every item, with a process for each that is under way.
   *
   * @template T
   * @param {readonly T[]} items
   * @param {(item: T, process: Process) => Promise<void>} use
   */
  async each(items, use) {
    const left = [...items];
    const work = async () => {
      const process = new Process(this.#args);
      this.#processes.add(process);
      for (let item = left.shift(); item !== undefined; item = left.shift()) await use(item, process);
      process.end();
      this.#processes.delete(process);
    };
    await Promise.all(Array.from({ length: Math.min(this.#size, left.length) }, work));
  }

  end() {
    for (const process of this.#processes) process.end();
  }
}

/** A process that is started when there is work, and anew where it has to be. */
export class Process {
  #args;
  #child;
  jobs = 0;

  constructor(args) {
    this.#args = args;
  }

  /**
   * @param {import('./mutant-child.mjs').Job} job
   * @param {number} seconds of processor time that it may take
   * @returns {Promise<import('./mutant-child.mjs').Outcome | 'timeout' | 'crash'>}
   */
  async run(job, seconds) {
    this.#child ??= await this.#start();
    this.jobs++;
    const child = this.#child;
    const outcome = await new Promise((resolve) => {
      const until = secondsOf(child.pid) + seconds;
      const timer = setInterval(() => {
        if (secondsOf(child.pid) > until) end('timeout');
      }, PERIOD);
      const crashed = () => end('crash');
      const end = (result) => {
        clearInterval(timer);
        child.off('message', end);
        child.off('exit', crashed);
        resolve(result);
      };
      child.on('message', end);
      child.on('exit', crashed);
      child.send(job);
    });
    if (typeof outcome === 'string' || this.jobs >= JOBS || outcome.megabytes > MEGABYTES) this.end();
    return outcome;
  }

  /** The next job gets a process of its own. */
  end() {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
    this.jobs = 0;
  }

  #start() {
    const child = fork(CHILD, this.#args, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    return new Promise((resolve, reject) => {
      child.once('message', () => {
        child.removeAllListeners('exit');
        resolve(child);
      });
      child.once('exit', (code) => reject(new Error(`A process of the tests ended with ${code} before it began.`)));
    });
  }
}

/** Processor time that a process has taken, where the system tells (Linux); else the time of day, in seconds. */
function secondsOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return performance.now() / 1000;
  }
}
