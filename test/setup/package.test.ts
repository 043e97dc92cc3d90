import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

// The package as npm installs it, without the optional dependency.
const root = fileURLToPath(new URL('../../', import.meta.url));
const project = mkdtempSync(join(tmpdir(), 'vitrine-package-'));

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

beforeAll(() => {
  // The project's .npmrc turns scripts off; `prepack` compiles.
  const flags = ['--ignore-scripts=false', '--silent', '--json', '--pack-destination', project];
  const packed = execFileSync('npm', ['pack', ...flags], { cwd: root, encoding: 'utf8' });
  const [{ filename }] = JSON.parse(packed.slice(packed.indexOf('['))) as [{ filename: string }];
  writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module' }));
  run(
    'npm',
    ...['install', '--prefix', project, '--ignore-scripts', '--omit=optional'],
    ...['--prefer-offline', '--no-audit', '--no-fund', '--silent', join(project, filename)],
  );
}, 120_000);
afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

test('the package has no build stamp, tests or scripts, and works without the optional dependency', () => {
  expect(existsSync(join(project, 'node_modules/@tensorflow'))).toBe(false);
  for (const name of ['dist/.stamp', 'test', 'scripts'])
    expect(existsSync(join(project, 'node_modules/vitrine', name)), name).toBe(false);
  // The set-up compiles this file into the addon.
  expect(existsSync(join(project, 'node_modules/vitrine/src/setup/quiet.cc'))).toBe(true);
});

test('the import has full types', () => {
  writeFileSync(
    join(project, 'use.ts'),
    `import { load, type Model, type Tensor } from 'vitrine';
     import { run, type Report } from 'vitrine/bench';
     const report: Report = await run({ suites: ['linear'], models: ['folder'] });
     console.log(report.rows.map(({ verdict }) => verdict));
     using model: Model = await load('folder', { backend: 'reference' });
     const logits: Tensor = model.forward([1, 2], { logits: 'last' });
     const values: Float32Array = logits.data();
     for await (const { token, text } of model.generate('Hello', { maxTokens: values.length })) {
       const next: [number, string] = [token, text];
       console.log(next);
     }
     const { acts } = model.run('Hello', { capture: ['blocks.*.hook_resid_post'] });
     const axes: 'layer p d' = acts['blocks.*.hook_resid_post'].axes;
     console.log(axes, acts.layers('blocks.*.hook_resid_post'));
     // @ts-expect-error: there is no such hook
     model.run('Hello', { capture: ['blocks.0.attn.hook_patern'] });
     // @ts-expect-error: there is no such hook
     model.run('Hello', { edit: { 'blocks.0.attn.hook_zz': (z) => z.mul(0) } });
     // @ts-expect-error: there is no such backend
     await load('folder', { backend: 'abacus' });
     // @ts-expect-error: a name is no token
     model.forward(['one']);`,
  );
  // Without skipLibCheck, so that the declarations are checked as well.
  const config = { strict: true, module: 'NodeNext', target: 'ES2022', types: [], noEmit: true };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: config, files: ['use.ts'] }));
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  let errors = '';
  try {
    run(process.execPath, tsc);
  } catch (error) {
    errors = (error as { stdout: string }).stdout;
  }
  expect(errors).toBe('');
});

test('the import works in Node', () => {
  const program = "const { load } = await import('vitrine'); console.log(typeof load);";
  expect(run(process.execPath, '--input-type=module', '-e', program)).toBe('function\n');
});

test('the harness is part of the package', () => {
  const program = "const { compare, run } = await import('vitrine/bench'); console.log(typeof run, typeof compare);";
  expect(run(process.execPath, '--input-type=module', '-e', program)).toBe('function function\n');
  expect(run(join(project, 'node_modules/.bin/vitrine'), 'bench', '--help')).toMatch(/--variant <file>/);
});

test('the command runs', () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  expect(run(join(project, 'node_modules/.bin/vitrine'), '--version')).toBe(`${version}\n`);
  expect(run(join(project, 'node_modules/.bin/vitrine'), '--help')).toMatch(/^ +setup /m);
});
