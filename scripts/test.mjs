// `npm test [-- vitest's arguments]`: sets up what is missing, then type check, lint, format and tests.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fail, prepare, root } from './bootstrap.mjs';

const bin = (name, ...path) => [name, join(root, 'node_modules', ...path)];
const stages = [
  [...bin('tsc', 'typescript', 'bin', 'tsc'), '--noEmit'],
  [...bin('eslint', 'eslint', 'bin', 'eslint.js'), '.'],
  [...bin('prettier', 'prettier', 'bin', 'prettier.cjs'), '--check', '--log-level', 'warn', '.'],
  [...bin('vitest', 'vitest', 'vitest.mjs'), 'run', ...process.argv.slice(2)],
];

/** Runs a stage and says how long it took. */
function passes(name, args) {
  const start = performance.now();
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${name}: ${status === 0 ? 'passed' : 'FAILED'} in ${seconds} s`);
  return status === 0;
}

try {
  await prepare({ tests: true });
  process.exitCode = stages.every(([name, ...args]) => passes(name, args)) ? 0 : 1;
} catch (error) {
  fail(error);
}
