import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, it } from 'vitest';
import { MODEL } from './run-cli.ts';

const ENDLESS = ['generate', 'hi', '-m', MODEL, '--backend', 'reference', '--max-tokens', '2000', '--ignore-eos'];

// What a process of its own shows only: signals, pipes and what is loaded. It runs the build, which this brings up to date.
beforeAll(() => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/build.mjs'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}, 120_000);

const start = (...args: string[]): ChildProcess =>
  spawn(process.execPath, ['dist/cli/bin.js', ...args], { env: { ...process.env, HF_HUB_OFFLINE: '1' } });

describe('the vitrine process', () => {
  it('stops at Ctrl-C with 130 and no stack', async () => {
    const child = start(...ENDLESS);
    const stderr = text(child.stderr!);
    await once(child.stdout!, 'data');
    child.kill('SIGINT');
    child.stdout!.resume();
    expect(await once(child, 'exit')).toEqual([130, null]);
    expect(await stderr).toMatch(/^prefill [^\n]*\n$/);
  });

  it.each([[ENDLESS], [['info', MODEL]], [['--help']]])('ends quietly when the reader of %j leaves', async (args) => {
    const child = start(...args);
    child.stdout!.destroy();
    const [stderr, exit] = await Promise.all([text(child.stderr!), once(child, 'exit')]);
    expect(exit).toEqual([0, null]);
    expect(stderr.replace(/^prefill [^\n]*\n$/, '')).toBe('');
  });

  it('sends data to stdout, the rest to stderr, without colours, and takes the threads it is given', async () => {
    const child = start('info', MODEL, '--json', '--threads', '1');
    const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
    expect(JSON.parse(stdout)).toMatchObject({ machine: { threads: 1 } });
    expect(stderr).toBe('');
  });
});
