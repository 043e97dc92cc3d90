// A test of the harness itself. `node bench/trial.mjs [runs]` measures a kernel in plain JavaScript against an identical copy,
// one that does a tenth of its work twice, and one with an error of 0.01 in one number, and counts the verdicts. Run it in a
// clone, after `npm run build`.
import { fileURLToPath } from 'node:url';
import { ensureDefaultModel } from '../dist/setup/set-up.js';
import { run } from 'vitrine/bench';

const runs = Number(process.argv[2] ?? 10);
const kernels = ['baseline', 'copy', 'slower', 'wrong'];
const files = kernels.map((name) => fileURLToPath(new URL(`trial/${name}.mjs`, import.meta.url)));
const { folder } = await ensureDefaultModel();

/** @type {Record<string, Record<string, number>>} */
const counts = {};
for (let i = 0; i < runs; i++) {
  const start = performance.now();
  const { rows, fingerprint } = await run({
    suites: ['linear'],
    models: [folder],
    sites: ['o_proj'],
    variants: ['none'],
    files,
    baseline: 'baseline',
    measureModel: false,
    seed: 1 + 1_000_000 * i,
  });
  const percent = (/** @type {number} */ ratio) => `${(100 * (ratio - 1)).toFixed(1)}%`;
  const interval = (/** @type {import('vitrine/bench').Estimate} */ { median, low, high }) =>
    `${percent(median)} [${percent(low)}, ${percent(high)}]`;
  const found = rows.map(({ variant, verdict, ratio, samples }) => {
    counts[variant] ??= {};
    counts[variant][verdict] = (counts[variant][verdict] ?? 0) + 1;
    if (ratio === undefined) return `${variant} ${verdict}`;
    return `${variant} ${verdict} ${interval(ratio)} of ${samples.length} processes`;
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  const { control } = rows[0];
  if (control !== undefined) found.push(`the baseline against itself ${interval(control)}`);
  console.log(`run ${i + 1}, ${seconds} s, load ${fingerprint.load.toFixed(1)}: ${found.join('; ')}`);
}
console.log(counts);
