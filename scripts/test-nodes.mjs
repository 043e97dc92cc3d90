// `npm run test:nodes [-- MAJOR ... and vitest's arguments]`: runs the tests on other versions of Node, which are installed from
// npm into the cache folder.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { prepare, reportFailure, root, step, StepFailed } from './bootstrap.mjs';

const args = process.argv.slice(2);
const isMajor = (arg) => /^\d+$/.test(arg);
const majors = args.some(isMajor) ? args.filter(isMajor) : ['20', '22', '24'];
const vitestArgs = args.filter((arg) => !isMajor(arg));

try {
  await prepare({ tests: true });
  const { cacheFolder } = await import(join(root, 'dist', 'platform', 'cache-folder.js'));
  const failed = majors.filter((major) => !passes(binFolder(join(cacheFolder(), 'nodes', major), major)));
  if (failed.length > 0) throw new StepFailed(`The tests fail on Node ${failed.join(', ')}.`);
  console.log(`The tests pass on Node ${majors.join(', ')}.`);
} catch (error) {
  reportFailure(error);
}

/** The folder with the newest Node of a major version, which is installed where it is missing. */
function binFolder(folder, major) {
  const name = `node-${process.platform}-${process.arch}`;
  const bin = join(folder, 'node_modules', name, 'bin');
  if (!existsSync(join(bin, 'node'))) {
    step('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', `${name}@${major}`]);
  }
  return bin;
}

/** Whether the tests pass on the Node in a folder. */
function passes(bin) {
  const node = join(bin, 'node');
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  console.log(`\nNode ${stdout.trim()}`);
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  return spawnSync(node, [vitest, 'run', ...vitestArgs], { cwd: root, env, stdio: 'inherit' }).status === 0;
}
