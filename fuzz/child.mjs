// Runs cases of one target: `node fuzz/child.mjs TARGET SEED FIRST END SECONDS`, started by scripts/fuzz.mjs. It writes the number
// of a case before it runs and the outcome afterwards to file descriptor 3, synchronously, since a case may not end.
import { writeSync } from 'node:fs';
import { Random } from './random.mjs';

const [name, seed, first, end, seconds] = process.argv.slice(2);
const { default: target } = await import(`./${name}.mjs`);
const send = (/** @type {object} */ message) => writeSync(3, `${JSON.stringify(message)}\n`);

await target.setup?.();
send({ ready: true });
const stop = performance.now() + 1000 * Number(seconds);
for (let index = Number(first); index < Number(end) && performance.now() < stop; index++) {
  send({ index });
  const start = performance.now();
  /** @type {{ label?: string, broken?: string }} */
  let outcome;
  try {
    outcome = { label: String((await target.run(new Random(Number(seed), index))) ?? 'held') };
  } catch (error) {
    outcome = { broken: String(error instanceof Error ? error.stack : error).slice(0, 2000) };
  }
  send({ ...outcome, milliseconds: performance.now() - start });
}
process.exit(0);
