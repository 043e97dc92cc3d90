// `npm run bench` runs `vitrine bench model`; `npm run bench:steady` compiles and runs a program of bench/. Both run the set-up
// first.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { prepare, reportFailure, root, step } from './bootstrap.mjs';

const [program, ...args] = process.argv.slice(2);
const namesModel = args.some((arg) => /^(--model|--help|-h)(=|$)/.test(arg));

try {
  const { model } = await prepare({ model: !namesModel });
  if (program === 'model') {
    const { main } = await import(join(root, 'dist', 'cli', 'main.js'));
    process.exitCode = await main(['bench', 'model', ...args]);
  } else {
    step(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(root, 'bench')]);
    const source = namesModel || model === undefined ? [] : ['--model', model];
    const file = join(root, 'bench', 'dist', `${program}.js`);
    process.exitCode = spawnSync(process.execPath, [file, ...source, ...args], { stdio: 'inherit' }).status ?? 1;
  }
} catch (error) {
  reportFailure(error);
}
