// Runs each engine in a process of its own, and asks them in turn.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Start The program of `engines/` to start, with its settings.
 * @property {string} command
 * @property {string} program
 * @property {object} settings
 *
 * @typedef {object} Row
 * @property {string} name The engine's name.
 * @property {string} weights
 * @property {() => Start | Promise<Start>} start Installs what the engine needs; throws if that fails.
 *
 * @typedef {{ first: number, rest: number, tokens: number[] }} Reply Seconds to the first token and for the rest, and the chosen tokens.
 */

/**
 * Measures all rows in each round, after a round that does not count. Rows that fail are left out, with the reason.
 *
 * @param {readonly Row[]} rows
 * @param {object} options
 * @param {{ long: number[], text: number[] }} options.prompts `long` for prefill, `text` for decoding.
 * @param {number} options.tg
 * @param {number} options.rounds
 * @param {number} options.threads
 * @returns {Promise<{ peers: import('./table.mjs').Peer[], leftOut: string[] }>}
 */
export async function takeTurns(rows, { prompts: { long, text }, tg, rounds, threads }) {
  const running = [];
  /** @type {string[]} */
  const leftOut = [];
  const leaveOut = (/** @type {Pick<Row, 'name' | 'weights'>} */ { name, weights }, /** @type {unknown} */ error) =>
    leftOut.push(`${name}, ${weights}: ${/** @type {Error} */ (error).message}`);
  for (const row of rows) {
    try {
      running.push(await startPeer(row, threads));
    } catch (error) {
      leaveOut(row, error);
    }
  }
  for (let round = 0; round <= rounds; round++) {
    process.stderr.write(`bench:peers: round ${round} of ${rounds}\n`);
    // Each round begins with another engine, so that none always runs after the same one, on a processor that it heated.
    for (let i = 0; i < running.length; i++) {
      const peer = running[(i + round) % running.length];
      if (peer.failed) continue;
      try {
        const prefill = await peer.ask(long, 1);
        const decode = await peer.ask(text, tg + 1);
        peer.tokens = decode.tokens;
        if (round > 0) peer.samples.push({ prefill: long.length / prefill.first, decode: tg / decode.rest });
      } catch (error) {
        peer.failed = true;
        leaveOut(peer, error);
      }
    }
  }
  for (const peer of running) peer.stop();
  return { peers: running.filter(({ failed }) => !failed), leftOut };
}

/**
 * Starts a row's engine, and waits until it has loaded the model.
 *
 * @param {Row} row
 * @param {number} threads
 */
async function startPeer({ name, weights, start }, threads) {
  const { command, program, settings } = await start();
  process.stderr.write(`bench:peers: starting ${name}, ${weights}\n`);
  const file = fileURLToPath(new URL(`engines/${program}`, import.meta.url));
  const begun = performance.now();
  const child = spawn(command, [file, JSON.stringify({ ...settings, threads })], { stdio: 'pipe' });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    complaint = (complaint + chunk).slice(-4000);
  });
  child.on('error', (error) => {
    complaint += `\n${error}`;
  });
  child.stdin.on('error', () => undefined); // `answer` notices that the process has ended.
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.once('close', resolve));
  const answer = async () => {
    for (;;) {
      const { done, value } = await lines.next();
      if (done) {
        await ended;
        throw new Error(`ended early: ${lastWords(complaint)}`);
      }
      if (value.startsWith('{')) return JSON.parse(value);
    }
  };
  const { version } = await answer();
  return {
    name,
    weights,
    version: /** @type {string} */ (version),
    ready: (performance.now() - begun) / 1000,
    samples: /** @type {import('./table.mjs').Sample[]} */ ([]),
    tokens: /** @type {number[]} */ ([]),
    failed: false,
    /**
     * @param {number[]} prompt
     * @param {number} count
     * @returns {Promise<Reply>}
     */
    ask(prompt, count) {
      child.stdin.write(`${JSON.stringify({ prompt, count })}\n`);
      return answer();
    },
    stop: () => child.stdin.end(),
  };
}

/**
 * The line of an engine's stderr that names the error.
 *
 * @param {string} stderr
 */
function lastWords(stderr) {
  const lines = stderr.split('\n').map((line) => line.trim());
  return (
    lines.findLast((line) => /^\w*Error\b/.test(line)) ?? lines.findLast((line) => line !== '') ?? 'no reason given'
  );
}
