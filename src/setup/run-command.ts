import { spawn } from 'node:child_process';
import { SetupError } from './setup-error.ts';

/** How to run a command. */
export interface RunOptions {
  /** The working folder. Default: that of this process. */
  readonly cwd?: string;
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Ends the command. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each line of the command's standard output. */
  readonly onLine?: (line: string) => void;
}

/**
 * Runs a command to its end and returns its standard output.
 * @throws {SetupError} when it is missing or fails, with its last error
 */
export function runCommand(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { cwd, env = process.env, signal, onLine } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, signal, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    let line = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const lines = (line + text).split('\n');
      line = lines.pop() ?? '';
      if (onLine !== undefined) lines.forEach(onLine);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    child.on('error', (error) => {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      reject(missing ? new SetupError(`${command} is not installed`, { cause: error }) : error);
    });
    child.on('close', (code, killedBy) => {
      if (code === 0) resolve(output);
      else reject(new SetupError(`${command} failed (${killedBy ?? `exit code ${code}`}): ${lastError(errors)}`));
    });
  });
}

/** Whether a command can be started with `--version` and succeeds. */
export async function canStart(command: string, args: readonly string[], env = process.env): Promise<boolean> {
  try {
    await runCommand(command, [...args, '--version'], { env });
    return true;
  } catch {
    return false;
  }
}

/** The last line that contains "error", else the last line. */
function lastError(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? 'no message').trim();
}
