import { CommanderError } from 'commander';
import { Interrupted } from '../platform/deadline.ts';
import { VitrineError } from '../errors.ts';
import { oneLine } from './printable.ts';

/** A command was asked for something that it cannot do; the message says what to do instead. */
export class UsageError extends VitrineError {
  override readonly name = 'UsageError';
}

/** A command did what it was asked, and what it found is not fine: scripts go by the exit code. */
export class GateFailed extends VitrineError {
  override readonly name = 'GateFailed';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }

  /** Throws for an exit code that is not 0, counting the verdicts. */
  static unlessFine(exitCode: number, verdicts: readonly string[]): void {
    if (exitCode === 0) return;
    const counts = [...new Set(verdicts)].map((name) => `${verdicts.filter((one) => one === name).length} ${name}`);
    throw new GateFailed(`bench: ${counts.join(', ')}`, exitCode);
  }
}

/** Says on stderr, in one line, why a command ended; `verbose` adds the stack. Returns the exit code. */
export function report(error: unknown, verbose: boolean): number {
  if (error instanceof Interrupted) return 130;
  if (codeOf(error) === 'EPIPE') return 0; // The reader of our output has seen enough.
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

/** `ENOENT` and its kin, of an error of the operating system. */
function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' && /^E[A-Z]+$/.test(code) ? code : undefined;
}
