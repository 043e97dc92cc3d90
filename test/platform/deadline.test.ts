import { spawn } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { DeadlineError, withDeadline } from '../../src/platform/deadline.ts';

const forever = (): never => {
  for (;;);
};

describe('a deadline', () => {
  test('gives back what the body gives back, and throws what it throws', () => {
    expect(withDeadline(1000, 'work', () => 5)).toBe(5);
    expect(() =>
      withDeadline(1000, 'work', () => {
        throw new RangeError('its own');
      }),
    ).toThrow(RangeError);
  });

  test('ends a loop, and a regular expression that backtracks without end', () => {
    expect(() => withDeadline(50, 'loop', forever)).toThrow(new DeadlineError('loop: stopped after 0.05 s'));
    expect(() => withDeadline(50, 'pattern', () => /(a+)+b/u.test('a'.repeat(40)))).toThrow(DeadlineError);
  });

  test('stands within another: the one whose time is over first ends the work', () => {
    const within = (outer: number, inner: number) => () =>
      withDeadline(outer, 'outer', () => withDeadline(inner, 'inner', forever));
    expect(within(60_000, 50)).toThrow(/^inner/);
    expect(within(50, 60_000)).toThrow(/^outer/);
    expect(withDeadline(1000, 'outer', () => withDeadline(1000, 'inner', () => 1) + 1)).toBe(2);
  });

  test('Ctrl-C ends the work at once, and is then heard by the process', async () => {
    const program = `
      import { withDeadline } from ${JSON.stringify(new URL('../../dist/platform/deadline.js', import.meta.url).href)};
      process.on('SIGINT', () => { console.log('heard'); process.exit(7); });
      console.log('ready');
      setTimeout(() => console.log('not heard'), 5000);
      try { withDeadline(30000, 'loop', () => { for (;;); }); } catch (error) { console.log(error.message); }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program]);
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    while (!output.includes('ready')) await setTimeout(10);
    await setTimeout(300);
    child.kill('SIGINT');
    expect(await ended).toBe(7);
    expect(output).toBe('ready\nloop: interrupted\nheard\n');
  });
});
