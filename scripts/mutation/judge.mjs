// Whether the tests notice a mutant.

/**
 * @typedef {import('./draw.mjs').Mutant} Mutant
 * @typedef {{ tests: Record<string, Record<string, { milliseconds: number, hits: Record<string, number> }>>, onImport: Set<string> }} Coverage
 * @typedef {'found' | 'timeout' | 'survived' | 'not covered'} Verdict
 * @typedef {{ mutant: Mutant, verdict: Verdict, by?: string }} Judged `by`: the test that noticed
 */

/** A run without mutants may take this long, in seconds of processor time. */
const PATIENCE = 600;
/** A mutant may be met so many times as often as without it. */
const ROUNDS = 10;
/** And so often where nobody has counted, while modules are evaluated. */
const SOME = 1e6;

/**
 * Runs every test once and sees which mutants it meets.
 *
 * @param {import('./pool.mjs').Pool} pool
 * @param {string[]} files
 * @returns {Promise<Coverage>}
 */
export async function coverageOf(pool, files) {
  const coverage = { tests: {}, onImport: new Set() };
  await pool.each(files, async (file, process) => {
    const outcome = await process.run({ files: [file], covers: true }, PATIENCE);
    process.end();
    if (typeof outcome === 'string') throw new Error(`${file} ends with a ${outcome} before any mutant is tried.`);
    if (outcome.failed) {
      const [why] = (outcome.failed.message ?? '').split('\n', 1);
      console.log(`${file} is left out, since it fails without a mutant: ${outcome.failed.test}: ${why}`);
      return;
    }
    Object.assign(coverage.tests, outcome.coverage);
    for (const id of outcome.onImport) coverage.onImport.add(id);
  });
  return coverage;
}

/**
 * Runs the tests that meet a mutant, the shortest first, until one fails; as many as take `seconds` together.
 *
 * @param {import('./pool.mjs').Pool} pool
 * @param {Mutant[]} mutants
 * @param {Coverage} coverage
 * @param {number} seconds
 * @param {(judged: Judged) => void} onVerdict
 * @returns {Promise<Judged[]>} in the order of `mutants`
 */
export async function judge(pool, mutants, coverage, seconds, onVerdict) {
  /** @type {Map<Mutant, Judged>} */
  const all = new Map();
  await pool.each(mutants, async (mutant, process) => {
    const job = jobOf(mutant, coverage, seconds);
    const judged = { mutant, ...(job === undefined ? { verdict: 'not covered' } : await verdictOf(job, process)) };
    all.set(mutant, judged);
    onVerdict(judged);
  });
  return mutants.map((mutant) => all.get(mutant));
}

/** @returns {Promise<Omit<Judged, 'mutant'>>} */
async function verdictOf({ seconds, ...job }, process) {
  const limit = 10 + 3 * seconds;
  const isFirst = process.jobs === 0;
  let outcome = await process.run(job, limit);
  const { failed } = outcome;
  if (failed?.id && !isFirst) {
    // A mutant before may have left something behind: does the test pass without one?
    const again = await process.run({ files: [failed.file], tests: { [failed.file]: [failed.id] } }, limit);
    if (typeof again === 'string' || again.failed) {
      process.end();
      outcome = await process.run(job, limit);
      process.end();
    }
  }
  if (outcome === 'timeout') return { verdict: outcome };
  if (outcome === 'crash') return { verdict: 'found', by: outcome };
  return outcome.failed
    ? { verdict: 'found', by: `${outcome.failed.file}: ${outcome.failed.test}` }
    : { verdict: 'survived' };
}

/** The tests to run: those that meet the mutant or, where it is met while modules are evaluated, all. */
function jobOf({ id }, { tests, onImport }, seconds) {
  const fresh = onImport.has(id);
  const files = Object.entries(tests).flatMap(([file, all]) => {
    const met = Object.entries(all).filter(([, { hits }]) => fresh || id in hits);
    met.sort(([, a], [, b]) => a.milliseconds - b.milliseconds);
    const time = met.reduce((sum, [, { milliseconds }]) => sum + milliseconds / 1000, 0);
    return met.length === 0 ? [] : [{ file, met, time }];
  });
  if (files.length === 0) return undefined;
  files.sort((a, b) => a.time - b.time);
  const job = { mutant: id, fresh, files: [], tests: {}, seconds: 0, hits: SOME };
  for (const { file, met } of files) {
    const some = met.filter(([, { milliseconds }]) => {
      const fits = job.seconds + milliseconds / 1000 <= seconds;
      if (fits) job.seconds += milliseconds / 1000;
      return fits;
    });
    if (some.length === 0) continue;
    job.files.push(file);
    job.tests[file] = some.map(([test]) => test);
    for (const [, { hits }] of some) job.hits += ROUNDS * (hits[id] ?? 0);
  }
  return job;
}
