/**
 * The child process of a comparison: it writes its version to stdout, and then answers one request per line until stdin ends.
 * Messages are JSON objects of one line each; all other lines are the engine's own log.
 *
 * @typedef {object} Engine
 * @property {string} version The engine's name and version.
 * @property {(prompt: number[], count: number, onToken: (token: number) => void) => Promise<void>} run
 *   Calls back with each of `count` greedy tokens after a prompt, which goes through the model in one pass and leaves no cache.
 */
import { createInterface } from 'node:readline';

/** @param {(settings: Record<string, any>) => Promise<Engine>} start Loads the model. */
export async function serve(start) {
  const say = (/** @type {object} */ message) => process.stdout.write(`${JSON.stringify(message)}\n`);
  const { version, run } = await start(JSON.parse(process.argv[2]));
  say({ version });
  for await (const line of createInterface({ input: process.stdin })) {
    const { prompt, count } = JSON.parse(line);
    const tokens = [];
    const begun = performance.now();
    let first = 0;
    await run(prompt, count, (token) => {
      if (tokens.length === 0) first = performance.now();
      tokens.push(token);
    });
    const ended = performance.now();
    if (tokens.length !== count) throw new Error(`expected ${count} tokens, got ${tokens.length}`);
    say({ first: (first - begun) / 1000, rest: (ended - first) / 1000, tokens });
  }
  process.exit(0);
}
