import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { benchCommand } from './bench.ts';
import { chatCommand } from './chat.ts';
import { convertCommand } from './convert.ts';
import { Interrupted, report } from './failure.ts';
import { generateCommand } from './generate.ts';
import { infoCommand } from './info.ts';
import { pullCommand } from './pull.ts';
import { setupCommand } from './setup.ts';

/** Makes a command; what it does ends with the signal's reason when the signal is aborted. */
export type CommandFactory = (signal: AbortSignal) => Command;

const COMMANDS: readonly CommandFactory[] = [
  generateCommand,
  chatCommand,
  infoCommand,
  pullCommand,
  convertCommand,
  benchCommand,
  setupCommand,
];

/**
 * Runs `vitrine` with the arguments after its name.
 *
 * @returns The exit code: 0, 1 after an error (told in one line on stderr), 130 after Ctrl-C; of `bench`, see there.
 */
export async function main(argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  // Once: a second Ctrl-C ends the process, should a long step not have listened.
  const interrupt = (): void => {
    stop.abort(new Interrupted());
  };
  const stdoutFailed = (error: Error): void => {
    stop.abort(error);
  };
  process.once('SIGINT', interrupt);
  // Every write after the first that failed fails as well, some of them after the end of this function.
  process.stdout.off('error', ignore).on('error', ignore).on('error', stdoutFailed);
  const program = createProgram(stop.signal);
  try {
    await program.parseAsync(argv, { from: 'user' });
    await written();
    stop.signal.throwIfAborted();
    return 0;
  } catch (error) {
    const verbose = withCommands(program).some((command) => command.opts<{ verbose?: boolean }>().verbose);
    return report(stop.signal.aborted ? stop.signal.reason : error, verbose);
  } finally {
    process.off('SIGINT', interrupt);
    process.stdout.off('error', stdoutFailed);
  }
}

const ignore = (): void => undefined;

function createProgram(signal: AbortSignal): Command {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const program = new Command('vitrine')
    .description('A transformer inference engine that you can see through.')
    .version(version)
    // So that an option after `bench model` is its own, and not one of `bench`.
    .enablePositionalOptions()
    .addHelpText('after', '\nExample:\n  $ vitrine generate "Why is the sky blue?"');
  for (const create of COMMANDS) program.addCommand(create(signal));
  for (const command of withCommands(program)) {
    // The error is told by main, once and in one line.
    command.exitOverride().configureOutput({ outputError: () => undefined });
    if (command !== program) command.option('--verbose', 'show the stack of an error');
  }
  return program;
}

/** A command and those inside it. */
const withCommands = (command: Command): Command[] => [command, ...command.commands.flatMap(withCommands)];

/** What was printed has reached its reader, or the error event has been emitted. */
async function written(): Promise<void> {
  await new Promise((resolve) => process.stdout.write('', resolve));
  await new Promise((resolve) => setImmediate(resolve));
}
