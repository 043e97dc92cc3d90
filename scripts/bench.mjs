// `npm run bench` and `npm run bench:steady`: sets up what is missing, compiles bench/, and runs one of its programs.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root, step, StepFailed } from './bootstrap.mjs';

const [program, ...args] = process.argv.slice(2);
const namesModel = args.some((arg) => /^(--model|--help)(=|$)/.test(arg));

try {
  const { model } = await prepare({ model: !namesModel });
  step(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(root, 'bench')]);
  const source = namesModel || model === undefined ? [] : ['--model', model];
  const file = join(root, 'bench', 'dist', `${program}.js`);
  process.exitCode = spawnSync(process.execPath, [file, ...source, ...args], { stdio: 'inherit' }).status ?? 1;
} catch (error) {
  if (!(error instanceof StepFailed)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
