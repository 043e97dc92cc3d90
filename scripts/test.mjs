// `npm test [-- vitest's arguments]`: runs the set-up, then the checks side by side, then the tests. `npm run test:quick`: types
// and lint, and the tests that vitest.config.ts selects for it.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, reportFailure, root } from './bootstrap.mjs';

const isQuick = process.argv[2] === '--quick';
const vitestArgs = process.argv.slice(isQuick ? 3 : 2);
const bin = (...path) => join(root, 'node_modules', ...path);

const CHECKS = {
  'types and lint': [bin('oxlint', 'bin', 'oxlint'), '--deny-warnings'],
  format: [
    bin('prettier', 'bin', 'prettier.cjs'),
    '--check',
    '--log-level',
    'warn',
    '--cache',
    '--cache-strategy',
    'content',
    '.',
  ],
  imports: [bin('dependency-cruiser', 'bin', 'dependency-cruise.mjs'), '--config', '.dependency-cruiser.mjs', 'src'],
  'links of the docs': [join(root, 'scripts', 'docs.mjs'), '--links'],
};
const QUICK_CHECKS = { 'types and lint': CHECKS['types and lint'] };
const TESTS = [bin('vitest', 'vitest.mjs'), 'run', ...(isQuick ? ['--mode', 'quick'] : []), ...vitestArgs];

/** Runs a program of node_modules and says how long it took; a check's output comes in one piece at its end. */
async function stage(name, args, { stdio, running } = {}) {
  const start = performance.now();
  const child = spawn(process.execPath, args, { cwd: root, stdio: stdio ?? ['ignore', 'pipe', 'pipe'] });
  running?.add(child);
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => output.push(chunk));
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  running?.delete(child);
  if (child.killed) return false;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  if (status !== 0) process.stdout.write(Buffer.concat(output));
  console.log(`${name}: ${status === 0 ? 'passed' : 'FAILED'} in ${seconds} s`);
  return status === 0;
}

/** Whether all checks pass; the first that fails ends the others. */
async function passChecks(checks) {
  const running = new Set();
  const results = Object.entries(checks).map(async ([name, args]) => {
    const passed = await stage(name, args, { running });
    if (!passed) for (const child of running) child.kill();
    return passed;
  });
  return (await Promise.all(results)).every(Boolean);
}

try {
  await prepare({ tests: true });
  const passed =
    (await passChecks(isQuick ? QUICK_CHECKS : CHECKS)) && (await stage('tests', TESTS, { stdio: 'inherit' }));
  process.exitCode = passed ? 0 : 1;
} catch (error) {
  reportFailure(error);
}
