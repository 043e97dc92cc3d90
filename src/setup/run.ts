import { spawn } from 'node:child_process';
import { SetupError } from './setup-error.ts';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** Called with each line of the command's standard output. */
  readonly onLine?: (line: string) => void;
}

/** Runs a command to its end and returns its standard output. Throws {@link SetupError} with its last complaint. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { cwd, env = process.env, signal, onLine } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let complaints = '';
    let line = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const lines = (line + text).split('\n');
      line = lines.pop() ?? '';
      if (onLine !== undefined) lines.forEach(onLine);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
    child.on('error', (error) => {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      reject(missing ? new SetupError(`${command} is not installed`, { cause: error }) : error);
    });
    child.on('close', (code, killedBy) => {
      if (code === 0) resolve(output);
      else
        reject(new SetupError(`${command} failed (${killedBy ?? `exit code ${code}`}): ${lastComplaint(complaints)}`));
    });
  });
}

/** Whether a command can be started and answers `--version`. */
export async function answers(command: string, args: readonly string[], env = process.env): Promise<boolean> {
  try {
    await run(command, [...args, '--version'], { env });
    return true;
  } catch {
    return false;
  }
}

/** The line that says why: the last that names an error, else the last one. */
function lastComplaint(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? 'it said nothing').trim();
}
