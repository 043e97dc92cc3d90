import { clearLine, cursorTo } from 'node:readline';
import type { Progress } from '../loader/progress.ts';

/** How often a line is drawn: on a terminal, where it replaces itself, and elsewhere, where each one stays. */
const TERMINAL_MS = 100;
const LOG_MS = 10_000;

export interface ProgressPrinter {
  (progress: Progress): void;
  /** Clears the line on a terminal. To be called before anything else is printed. */
  end(): void;
}

/** Prints the progress of long steps: label, bytes, share and rate. */
export function progressPrinter(stream: NodeJS.WriteStream = process.stderr, now = () => performance.now()) {
  let label: string | undefined;
  let start = { time: 0, loaded: 0 };
  let printed = 0;

  const print = (progress: Progress): void => {
    const time = now();
    const isNew = progress.label !== label;
    const isDone = progress.loaded === progress.total;
    if (isNew) {
      label = progress.label;
      start = { time, loaded: progress.loaded };
    } else if (time - printed < (stream.isTTY ? TERMINAL_MS : LOG_MS) && !(isDone && stream.isTTY)) {
      return;
    }
    printed = time;
    const line = describe(progress, start, time);
    if (stream.isTTY) redraw(stream, line.slice(0, stream.columns - 1));
    else stream.write(`${line}\n`);
  };

  const end = (): void => {
    if (stream.isTTY && label !== undefined) redraw(stream, '');
    label = undefined;
  };
  return Object.assign(print, { end }) satisfies ProgressPrinter;
}

function describe({ label, loaded, total }: Progress, start: { time: number; loaded: number }, time: number): string {
  if (loaded === 0 && total === undefined) return `${label} ...`;
  const seconds = (time - start.time) / 1000;
  const parts = [total === undefined ? bytes(loaded) : `${bytes(loaded)} of ${bytes(total)}`];
  if (total !== undefined && total > 0) parts.push(`${Math.floor((100 * loaded) / total)}%`);
  if (seconds > 0.5) parts.push(`${bytes((loaded - start.loaded) / seconds)}/s`);
  return `${label}: ${parts.join(', ')}`;
}

function bytes(count: number): string {
  if (count < 1e6) return `${(count / 1e3).toFixed(0)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}

function redraw(stream: NodeJS.WriteStream, text: string): void {
  clearLine(stream, 0);
  cursorTo(stream, 0);
  stream.write(text);
}
