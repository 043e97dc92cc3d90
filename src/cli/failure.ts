import { CommanderError } from 'commander';
import { Interrupted } from '../platform/deadline.ts';
import { VitrineError } from '../errors.ts';
import { oneLine } from './printable.ts';

/** A command got arguments that it cannot follow. The message says what to do instead. */
export class UsageError extends VitrineError {
  override readonly name = 'UsageError';
}

/** A command succeeded, and its result did not pass a check, such as a limit of `bench`. Scripts read the exit code. */
export class GateFailed extends VitrineError {
  override readonly name = 'GateFailed';
  /** The exit code of the process. */
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }

  /** Throws when the exit code is not 0; the message counts the verdicts. */
  static unlessFine(exitCode: number, verdicts: readonly string[]): void {
    if (exitCode === 0) return;
    const counts = [...new Set(verdicts)].map((name) => `${verdicts.filter((one) => one === name).length} ${name}`);
    throw new GateFailed(`bench: ${counts.join(', ')}`, exitCode);
  }
}

/**
 * Prints an error to stderr in one line, with its stack if `verbose`. Returns the exit code: 130 after Ctrl-C, else 1 or that
 * of GateFailed.
 */
export function report(error: unknown, verbose: boolean): number {
  if (error instanceof Interrupted) return 130;
  if (codeOf(error) === 'EPIPE') return 0; // The reader of stdout has closed it.
  if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help'))
    return error.exitCode;
  process.stderr.write(`vitrine: ${oneLine(explain(error))}\n`);
  if (verbose && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return error instanceof GateFailed ? error.exitCode : 1;
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof CommanderError) return message.replace(/^error: /, '');
  if (error instanceof VitrineError || codeOf(error) !== undefined) return message;
  return `unexpected error: ${message}. Run it again with --verbose to see where it comes from.`;
}

/** The code of an error of the operating system, such as `ENOENT`; undefined for other errors. */
function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' && /^E[A-Z]+$/.test(code) ? code : undefined;
}
