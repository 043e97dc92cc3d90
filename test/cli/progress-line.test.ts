import { PassThrough } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { progressPrinter } from '../../src/cli/progress-line.ts';
import type { Progress } from '../../src/loader/progress.ts';

/** The output for reports of which one is made each second. */
function printed(isTTY: boolean, reports: Progress[]): string {
  vi.useFakeTimers({ toFake: ['performance'] });
  const stream = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY, columns: 40 });
  const print = progressPrinter(stream as unknown as NodeJS.WriteStream);
  for (const report of reports) {
    print(report);
    vi.advanceTimersByTime(1000);
  }
  print.end();
  vi.useRealTimers();
  return String(stream.read());
}

const download = (megabytes: number, total?: number): Progress => ({
  label: 'Downloading a model',
  loaded: megabytes * 1e6,
  ...(total !== undefined && { total: total * 1e6 }),
});

test('writes a line to a log at the start and the end of a step, and every ten seconds', () => {
  const reports = Array.from({ length: 14 }, (_, second) => download(2 * second, 26));
  expect(printed(false, [...reports, { label: 'Compiling', loaded: 0 }]).split('\n')).toEqual([
    'Downloading a model ...',
    'Downloading a model: 22.0 MB of 26.0 MB, 84%, 2.0 MB/s',
    'Downloading a model: 26.0 MB of 26.0 MB, 100%, 1.9 MB/s',
    'Compiling ...',
    '',
  ]);
});

test('replaces one line on a terminal, which is never wider than the terminal, and removes it at the end', () => {
  const text = printed(true, [download(0), download(3), download(3, 40)]);
  const lines = text.split('\x1b[2K\x1b[1G'); // erase the line, go to its start
  expect(lines.slice(0, 3)).toEqual(['', 'Downloading a model ...', 'Downloading a model: 3.0 MB, 3.0 MB/s']);
  expect(lines.at(-2)).toMatch(/^Downloading a model: 3\.0 MB of 40\.0 MB/);
  expect(lines.at(-1)).toBe('');
  expect(text).not.toContain('\n');
  for (const line of lines) expect(line.length).toBeLessThan(40);
});
