// Runs test files on code that holds mutants, in one process without vitest's workers: `{ files, tests, mutant, fresh }` in,
// `Outcome` out. A mutant costs what its tests cost, since modules stay loaded from one to the next.
import { register } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startTests } from '@vitest/runner';

/**
 * @typedef {object} Job
 * @property {string[]} files
 * @property {Record<string, string[]>} [tests] ids of the tests of each file that are run; absent: all
 * @property {string} [mutant] the one that is active; absent: the code as it is
 * @property {number} [hits] the mutant is met so often at most: a loop that it made endless then ends
 * @property {boolean} [fresh] the modules are evaluated anew, for what a mutant changes while they are
 * @property {boolean} [covers] finds which mutants each test meets, and runs on after a failure
 *
 * @typedef {object} Outcome
 * @property {{ file: string, id?: string, test: string, message?: string }} [failed] the first test that failed
 * @property {Record<string, Record<string, { milliseconds: number, hits: Record<string, number> }>>} [coverage] by file and test: how
 *   often it meets which mutant
 * @property {string[]} [onImport] mutants that were met while modules were evaluated
 * @property {number} megabytes that the process has
 */

const [root, out] = process.argv.slice(2);
process.env.VITEST = 'true';
process.env.VITRINE_BF16_PRODUCTS = '0';
register(new URL('loader.mjs', import.meta.url), { data: { root, out } });
/** What instrumented code reads and counts. */
const stryker = (globalThis.__stryker__ = {});
let stray;
process.on('unhandledRejection', (error) => (stray ??= String(error)));

let turn = 0;

process.on('message', async (/** @type {Job} */ job) => {
  stray = undefined;
  Object.assign(stryker, { activeMutant: job.mutant, hitCount: 0, hitLimit: job.hits, currentTestId: undefined });
  const outcome = await run(job);
  stryker.activeMutant = undefined;
  if (stray && !outcome.failed) outcome.failed = { file: job.files[0], test: 'outside of the tests', message: stray };
  process.send({ ...outcome, megabytes: process.memoryUsage.rss() / 2 ** 20 });
});
process.send('ready');

/** @param {Job} job */
async function run({ files, tests, fresh, covers }) {
  turn++;
  const outcome = { failed: undefined, coverage: {} };
  for (const file of files) {
    const path = join(root, file);
    const runner = runnerOf(file, `${pathToFileURL(path).href}?${fresh ? 'fresh' : 'turn'}=${turn}`, outcome, covers);
    await startTests([{ filepath: path, testIds: tests?.[file] }], runner);
    stryker.currentTestId = undefined;
    if (outcome.failed && !covers) break;
  }
  return { ...outcome, onImport: Object.keys(stryker.mutantCoverage?.static ?? {}) };
}

/** The runner that `@vitest/runner` asks for. */
function runnerOf(file, url, outcome, covers) {
  const enter = (task) => {
    if (covers) stryker.currentTestId = task?.id;
  };
  const fail = (task, name) => {
    if (task.result?.state !== 'fail' || outcome.failed) return;
    outcome.failed = { file, id: task.id, test: name, message: task.result.errors?.[0]?.message };
  };
  const skipAfterFailure = (task) => {
    if (outcome.failed && !covers) task.mode = 'skip';
  };
  return {
    config: CONFIG,
    pool: 'forks',
    importFile: () => import(url),
    onTaskUpdate() {},
    onCollected([all]) {
      fail(all, 'import');
      skipTensorflow(all);
    },
    onBeforeRunSuite(suite) {
      skipAfterFailure(suite);
      enter(suite);
    },
    onBeforeRunTask(test) {
      skipAfterFailure(test);
      enter(test);
    },
    onAfterRunTask(test) {
      fail(test, test.fullTestName ?? test.name);
      enter(test.suite ?? test.file);
    },
    onAfterRunSuite(suite) {
      fail(suite, `hooks of ${suite.name}`);
      enter(suite.suite ?? (suite === suite.file ? undefined : suite.file));
    },
    onAfterRunFiles([all]) {
      if (covers) outcome.coverage[file] = coverageOf(all);
    },
  };
}

const CONFIG = {
  root,
  setupFiles: [],
  name: '',
  passWithNoTests: true,
  testNamePattern: undefined,
  allowOnly: true,
  sequence: { seed: 1, hooks: 'stack', setupFiles: 'list' },
  chaiConfig: undefined,
  maxConcurrency: 1,
  testTimeout: 600_000,
  hookTimeout: 600_000,
  retry: 0,
  includeTaskLocation: false,
  tags: [],
  tagsFilter: undefined,
  strictTags: false,
};

/** Leaves out what runs on TensorFlow, where the code under test does the same as on the reference backend. */
function skipTensorflow(task) {
  if (task.type === 'test') {
    if (!task.name.includes('tensorflow')) return task.mode !== 'skip';
  } else if (!task.name.includes('tensorflow') || task.file === task) {
    const runs = task.tasks.map(skipTensorflow);
    if (runs.includes(true)) return true;
  }
  task.mode = 'skip';
  return false;
}

/** What hooks of a suite meet, each of its tests meets: a model that is loaded for all of them. */
function coverageOf(file) {
  const met = stryker.mutantCoverage?.perTest ?? {};
  const coverage = {};
  const visit = (task, outer) => {
    const hits = { ...outer };
    for (const [id, count] of Object.entries(met[task.id] ?? {})) hits[id] = (hits[id] ?? 0) + count;
    if (task.type === 'test' && task.result?.state === 'pass')
      coverage[task.id] = { milliseconds: task.result.duration, hits };
    for (const inner of task.tasks ?? []) visit(inner, hits);
  };
  visit(file, {});
  if (stryker.mutantCoverage) stryker.mutantCoverage.perTest = {};
  return coverage;
}
