// `npm run fuzz [-- TARGETS --seconds 60 --seed 1 --case I]`: runs the fuzz targets of fuzz/, each in a process, so that a crash, a
// hang or a case that takes too much memory is a finding as well. The exit code is 1 if there are findings.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { prepare, reportFailure, root, StepFailed } from './bootstrap.mjs';

const PARTS = ['random.mjs', 'child.mjs'];
/** The limit of a target that states none. */
const LIMIT = { seconds: 2, megabytes: 512 };
/** The number of findings after which a target stops: the first ones show the fault. */
const ENOUGH = 20;
/** The interval of the checks of memory and time, in ms. */
const PERIOD = 20;

const folder = join(root, 'fuzz');
const all = readdirSync(folder)
  .filter((file) => file.endsWith('.mjs') && !PARTS.includes(file))
  .map((file) => file.slice(0, -4));

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
      case: { type: 'string' },
    },
  });
  const unknown = positionals.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new StepFailed(`fuzz: there is no target "${unknown}". Choose ${all.join(', ')}.`);
  const [seconds, seed, only] = [values.seconds, values.seed, values.case ?? '-1'].map(Number);
  if (!(seconds > 0) || !Number.isInteger(seed) || !Number.isInteger(only))
    throw new StepFailed('fuzz: expected --seconds above 0, and whole numbers for --seed and --case.');
  await prepare({ model: false });
  let findings = 0;
  for (const name of positionals.length > 0 ? positionals : all) {
    const found = await fuzz(name, { seconds, seed, only });
    findings += found.length;
  }
  process.exitCode = findings > 0 ? 1 : 0;
} catch (error) {
  reportFailure(error);
}

/**
 * Runs a target.
 *
 * @param {string} name
 * @param {{ seconds: number, seed: number, only: number }} options `only`: the one case to run; below 0 for all.
 * @returns {Promise<string[]>} A line for each finding.
 */
async function fuzz(name, { seconds, seed, only }) {
  const { default: target } = await import(join(folder, `${name}.mjs`));
  console.log(`${name}: ${target.about}`);
  const limit = { ...LIMIT, ...target.limit };
  const stop = performance.now() + 1000 * seconds;
  /** @type {string[]} */
  const findings = [];
  /** @type {Map<string, number>} */
  const labels = new Map();
  const seen = { cases: 0, slowest: 0, megabytes: 0 };
  let next = only < 0 ? 0 : only;
  const end = only < 0 ? Number.MAX_SAFE_INTEGER : only + 1;
  while (next < end && performance.now() < stop && findings.length < ENOUGH) {
    const child = { name, seed, first: next, end, seconds: (stop - performance.now()) / 1000, limit };
    const { last, broken, ended } = await watch(child, seen, labels, (index, what) => {
      findings.push(what);
      console.log(`  case ${index} (npm run fuzz -- ${name} --seed ${seed} --case ${index}): ${what}`);
    });
    next = last + 1;
    if (!broken && ended) break;
  }
  const counts = [...labels].sort(([, a], [, b]) => b - a).map(([label, count]) => `${label} ${count}`);
  console.log(
    `  seed ${seed}: ${seen.cases} cases (${counts.join(', ')}), slowest ${seen.slowest.toFixed(0)} ms, ` +
      `${seen.megabytes.toFixed(0)} MB at most, ${findings.length} findings`,
  );
  return findings;
}

/**
 * Runs a process with cases of a target until it ends, or exceeds a limit and is killed.
 *
 * @param {{ name: string, seed: number, first: number, end: number, seconds: number, limit: typeof LIMIT }} child
 * @param {{ cases: number, slowest: number, megabytes: number }} seen
 * @param {Map<string, number>} labels
 * @param {(index: number, what: string) => void} onFinding
 * @returns {Promise<{ last: number, broken: boolean, ended: boolean }>}
 */
function watch({ name, seed, first, end, seconds, limit }, seen, labels, onFinding) {
  const args = [name, seed, first, end, seconds].map(String);
  const running = spawn(process.execPath, ['--expose-gc', join(folder, 'child.mjs'), ...args], {
    stdio: ['ignore', 'inherit', 'pipe', 'pipe'],
  });
  let errors = '';
  running.stderr.on('data', (text) => (errors = (errors + text).slice(-4000)));
  let last = first - 1;
  /** @type {number | undefined} The start of the case that runs. */
  let since;
  let broken = false;
  const kill = (/** @type {string} */ what) => {
    broken = true;
    onFinding(last, what);
    running.kill('SIGKILL');
  };
  createInterface({ input: /** @type {import('node:stream').Readable} */ (running.stdio[3]) }).on('line', (line) => {
    const { index, label, broken: what, milliseconds } = JSON.parse(line);
    if (index !== undefined) {
      last = index;
      since = performance.now();
      return;
    }
    since = undefined;
    if (milliseconds === undefined) return;
    seen.cases++;
    seen.slowest = Math.max(seen.slowest, milliseconds);
    if (label !== undefined) labels.set(label, (labels.get(label) ?? 0) + 1);
    if (what !== undefined && !broken) onFinding(last, what);
    else if (milliseconds > 1000 * limit.seconds && !broken)
      onFinding(last, `took ${(milliseconds / 1000).toFixed(1)} s, and ${limit.seconds} s are allowed`);
  });
  const timer = setInterval(() => {
    if (broken) return;
    const megabytes = residentMegabytes(running.pid);
    seen.megabytes = Math.max(seen.megabytes, megabytes);
    if (megabytes > limit.megabytes) kill(`took ${megabytes.toFixed(0)} MB, and ${limit.megabytes} MB are allowed`);
    else if (since !== undefined && performance.now() - since > 2000 * limit.seconds)
      kill(`did not end within twice the ${limit.seconds} s that are allowed`);
  }, PERIOD);
  return new Promise((resolve) => {
    running.on('close', (code, signal) => {
      clearInterval(timer);
      if (code !== 0 && !broken) {
        broken = true;
        onFinding(
          last,
          `the process ended with ${signal ?? `code ${code}`}: ${errors.trim().split('\n').slice(0, 5).join(' | ')}`,
        );
      }
      resolve({ last: Math.max(last, first), broken, ended: code === 0 });
    });
  });
}

/** The resident memory of a process in MB; 0 where the system does not state it. @param {number | undefined} pid */
function residentMegabytes(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}
