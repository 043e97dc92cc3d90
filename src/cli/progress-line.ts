import { clearLine, cursorTo } from 'node:readline';
import type { Progress } from '../loader/progress.ts';
import { formatBytes } from '../format-bytes.ts';

/** The interval between lines on a terminal, where a line replaces the last one, and elsewhere. */
const TERMINAL_MS = 100;
const LOG_MS = 10_000;

/** Prints the progress of a long step. */
export interface ProgressPrinter {
  (progress: Progress): void;
  /** Removes the line from a terminal. Must be called before other output. */
  end(): void;
}

/** Makes a printer of progress: label, bytes, percentage and rate. Default stream: stderr. */
export function progressPrinter(stream: NodeJS.WriteStream = process.stderr): ProgressPrinter {
  let last: Progress | undefined;
  let start = { time: 0, loaded: 0 };
  let printedAt = 0;

  const print = (line: string): void => {
    printedAt = performance.now();
    if (stream.isTTY) redraw(stream, line.slice(0, (stream.columns || 80) - 1));
    else stream.write(`${line}\n`);
  };
  const end = (): void => {
    if (stream.isTTY) redraw(stream, '');
    else if (last !== undefined && last.loaded > 0) print(describe(last, start));
    last = undefined;
  };
  const report = (progress: Progress): void => {
    if (progress.label !== last?.label) {
      if (last !== undefined) end();
      start = { time: performance.now(), loaded: progress.loaded };
      print(`${progress.label} ...`);
    } else if (performance.now() - printedAt > (stream.isTTY ? TERMINAL_MS : LOG_MS)) {
      print(describe(progress, start));
    }
    last = progress;
  };
  return Object.assign(report, { end });
}

function describe({ label, loaded, total = 0 }: Progress, start: { time: number; loaded: number }): string {
  const seconds = (performance.now() - start.time) / 1000;
  const share = total > 0 ? ` of ${formatBytes(total)}, ${Math.floor((100 * loaded) / total)}%` : '';
  const rate = seconds > 0 && loaded > start.loaded ? `, ${formatBytes((loaded - start.loaded) / seconds)}/s` : '';
  return `${label}: ${formatBytes(loaded)}${share}${rate}`;
}

function redraw(stream: NodeJS.WriteStream, text: string): void {
  clearLine(stream, 0);
  cursorTo(stream, 0);
  stream.write(text);
}
