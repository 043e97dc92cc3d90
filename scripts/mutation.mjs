// `npm run test:mutation [-- --only src/sampling --count 100 --seed 1 --seconds 10 --workers 2 --report FILE TESTS]`: changes the code in one
// place at a time (a condition, an operator, a block) and sees whether a test notices. docs/testing.md says what it tells.
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensurePackages, reportFailure, root, StepFailed } from './bootstrap.mjs';

/** The folders whose code is changed. */
const FOLDERS = ['src/model', 'src/sampling', 'src/engine', 'src/hooks'];
/** The tests that are to notice. */
const TESTS = [...FOLDERS.map((folder) => folder.replace('src', 'test')), 'test/options.test.ts'];
/** They collect garbage or run many long passes, too slow to be run for each mutant. */
const SLOW = ['capture', 'forgotten', 'load-abort', 'memory-peak', 'mixtures-hooks'];
/** They mock modules or hold a file to a snapshot, which only vitest itself does. */
const BY_VITEST = ['load', 'hooks-page'];
const LEFT_OUT = [...SLOW, ...BY_VITEST];

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      count: { type: 'string', default: '100' },
      seed: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '10' },
      report: { type: 'string' },
      workers: { type: 'string', default: String(Math.min(4, availableParallelism())) },
    },
  });
  const [count, seconds, workers] = [values.count, values.seconds, values.workers].map(Number);
  if (!(count > 0 && seconds > 0 && Number.isInteger(workers) && workers > 0))
    throw new StepFailed('test:mutation: expected numbers above 0 for --count, --seconds and --workers.');
  ensurePackages();
  const folders = values.only === undefined ? FOLDERS : [values.only.replace(/\/$/, '')];
  const tests = (positionals.length > 0 ? positionals : TESTS).flatMap(testFiles);
  await tryMutants({ folders, tests, count, seed: values.seed, seconds, workers, report: values.report });
} catch (error) {
  reportFailure(error);
}

/**
 * @param {{ folders: string[], tests: string[], count: number, seed: string, seconds: number, workers: number, report?: string }} options
 *   `seconds`: of tests that are run for one mutant, as long as they take without it; `report`: a file that gets a line of
 *   JSON for each verdict
 */
async function tryMutants({ folders, tests, count, seed, seconds, workers, report }) {
  const { draw } = await import('./mutation/draw.mjs');
  const { Pool } = await import('./mutation/pool.mjs');
  const { coverageOf, judge } = await import('./mutation/judge.mjs');
  const out = mkdtempSync(join(tmpdir(), 'vitrine-mutants-'));
  const pool = new Pool(workers, [root, out]);
  try {
    const { mutants, totals } = await draw(root, out, { folders, count, seed });
    console.log(
      `${mutants.length} of ${[...totals.values()].reduce((a, b) => a + b, 0)} mutants are tried, seed ${seed}.`,
    );
    const coverage = await coverageOf(pool, tests);
    console.log(`${Object.keys(coverage.tests).length} test files are run.`);
    const verdicts = await judge(pool, mutants, coverage, seconds, (verdict) => {
      if (report !== undefined) appendFileSync(report, `${JSON.stringify(verdict)}\n`);
    });
    printScores(folders, totals, verdicts);
  } finally {
    pool.end();
    rmSync(out, { recursive: true });
  }
}

function printScores(folders, totals, verdicts) {
  const alive = verdicts.filter(({ verdict }) => verdict === 'survived' || verdict === 'not covered');
  for (const { mutant, verdict } of alive) {
    const { file, location, mutator, replacement } = mutant;
    const [change] = replacement.split('\n', 1);
    console.log(`${file}:${location.start.line + 1}:${location.start.column + 1} ${verdict}: ${mutator}, ${change}`);
  }
  for (const folder of folders) {
    const own = verdicts.filter(({ mutant }) => mutant.folder === folder);
    const found = own.filter((verdict) => !alive.includes(verdict)).length;
    const score = ((100 * found) / own.length).toFixed(0);
    console.log(`${folder}: ${found} of ${own.length} found, ${score} % (of ${totals.get(folder)} mutants)`);
  }
}

/** @param {string} path of a test or a folder of tests */
function testFiles(path) {
  if (path.endsWith('.ts')) return [path];
  return readdirSync(join(root, path), { recursive: true })
    .filter((name) => name.endsWith('.test.ts') && !LEFT_OUT.includes(basename(name, '.test.ts')))
    .sort()
    .map((name) => `${path}/${name}`);
}
