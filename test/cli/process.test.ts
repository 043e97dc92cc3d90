import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { buildFirst } from './built.ts';
import { MODEL } from './run-cli.ts';

const ENDLESS = ['generate', 'hi', '-m', MODEL, '--backend', 'reference', '--max-tokens', '2000', '--ignore-eos'];

buildFirst();

const start = (args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess =>
  spawn(process.execPath, ['dist/cli/bin.js', ...args], { env: { ...process.env, HF_HUB_OFFLINE: '1', ...env } });
/** Where native TensorFlow is not found, so that a command that lists the backends starts sooner. */
const WITHOUT_TENSORFLOW = { VITRINE_CACHE: join(tmpdir(), 'vitrine-nothing-here') };

// Each test waits for processes, so they run side by side.
describe.concurrent('the vitrine process', () => {
  it('stops at Ctrl-C with exit code 130 and without a stack', async () => {
    const child = start(ENDLESS);
    const stderr = text(child.stderr!);
    await once(child.stdout!, 'data');
    child.kill('SIGINT');
    child.stdout!.resume();
    expect(await once(child, 'exit')).toEqual([130, null]);
    expect(await stderr).toMatch(/^prefill [^\n]*\n$/);
  });

  it('ends at the second Ctrl-C, or at SIGTERM, while a long prompt is processed', async () => {
    const prompt = 'the quick brown fox '.repeat(180);
    const args = ['generate', prompt, '-m', MODEL, '--backend', 'reference', '--context', '2048', '--max-tokens', '9'];
    const ends = async (...signals: NodeJS.Signals[]): Promise<void> => {
      const child = start(args);
      const exit = once(child, 'exit');
      await wait(1500);
      for (const signal of signals) {
        child.kill(signal);
        await wait(50);
      }
      const [code, signal] = (await exit) as [number | null, string | null];
      expect(code ?? signal).toBeOneOf([130, signals[0]]);
    };
    await Promise.all([ends('SIGINT', 'SIGINT'), ends('SIGTERM')]);
  });

  it.each([[ENDLESS], [['info', MODEL]], [['--help']]])(
    'ends without an error when the reader of %j closes the pipe',
    async (args) => {
      const child = start(args, WITHOUT_TENSORFLOW);
      child.stdout!.destroy();
      const [stderr, exit] = await Promise.all([text(child.stderr!), once(child, 'exit')]);
      expect(exit).toEqual([0, null]);
      expect(stderr.replace(/^prefill [^\n]*\n$/, '')).toBe('');
    },
  );

  it('prints data to stdout and nothing else, and uses as many threads as --threads says', async () => {
    const child = start(['info', MODEL, '--json', '--threads', '1']);
    const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
    expect(JSON.parse(stdout)).toMatchObject({ machine: { threads: 1 } });
    expect(stderr).toBe('');
  });
});
