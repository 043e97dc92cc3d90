// One target in a process of its own: `node fuzz/child.mjs TARGET SEED FIRST END SECONDS`, started by scripts/fuzz.mjs. On
// channel 3 it says, before a case, its number, and after it what came of it; written synchronously, since a case may never end.
import { writeSync } from 'node:fs';
import { Random } from './random.mjs';

const [name, seed, first, end, seconds] = process.argv.slice(2);
const { default: target } = await import(`./${name}.mjs`);
const tell = (/** @type {object} */ message) => writeSync(3, `${JSON.stringify(message)}\n`);

await target.setup?.();
tell({ ready: true });
const stop = performance.now() + 1000 * Number(seconds);
for (let index = Number(first); index < Number(end) && performance.now() < stop; index++) {
  tell({ index });
  const start = performance.now();
  /** @type {{ label?: string, broken?: string }} */
  let outcome;
  try {
    outcome = { label: String((await target.run(new Random(Number(seed), index))) ?? 'held') };
  } catch (error) {
    outcome = { broken: String(error instanceof Error ? error.stack : error).slice(0, 2000) };
  }
  tell({ ...outcome, milliseconds: performance.now() - start });
}
process.exit(0);
