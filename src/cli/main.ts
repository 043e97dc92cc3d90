import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { benchCommand } from './commands/bench.ts';
import { chatCommand } from './commands/chat.ts';
import { convertCommand } from './commands/convert.ts';
import { diffCommand } from './commands/diff.ts';
import { CtrlC } from './ctrl-c.ts';
import { Interrupted } from '../platform/deadline.ts';
import { report } from './failure.ts';
import { generateCommand } from './commands/generate.ts';
import { infoCommand } from './commands/info.ts';
import { pullCommand } from './commands/pull.ts';
import { setupCommand } from './commands/setup.ts';

/**
 * Makes a command, which ends with the signal's reason when the signal is aborted. Ctrl-C aborts it, unless the command listens to
 * Ctrl-C itself.
 */
export type CommandFactory = (signal: AbortSignal, ctrlC: CtrlC) => Command;

const COMMANDS: readonly CommandFactory[] = [
  generateCommand,
  chatCommand,
  infoCommand,
  pullCommand,
  convertCommand,
  benchCommand,
  diffCommand,
  setupCommand,
];

/**
 * Runs `vitrine` with the arguments after its name.
 *
 * @returns The exit code: 0, 1 after an error (printed to stderr in one line), 130 after Ctrl-C. `bench` has others.
 */
export async function main(argv: readonly string[], ctrlC = new CtrlC()): Promise<number> {
  const stop = new AbortController();
  const release = ctrlC.listen(() => {
    stop.abort(new Interrupted('Ctrl-C'));
  });
  const stdoutFailed = (error: Error): void => {
    stop.abort(error);
  };
  // After a write that failed, later ones fail as well, some of them after the end of this function.
  process.stdout.off('error', ignore).on('error', ignore).on('error', stdoutFailed);
  const program = createProgram(stop.signal, ctrlC);
  try {
    await program.parseAsync(argv, { from: 'user' });
    await flushStdout();
    stop.signal.throwIfAborted();
    return 0;
  } catch (error) {
    const verbose = withCommands(program).some((command) => command.opts<{ verbose?: boolean }>().verbose);
    return report(stop.signal.aborted ? stop.signal.reason : error, verbose);
  } finally {
    release();
    process.stdout.off('error', stdoutFailed);
  }
}

const ignore = (): void => undefined;

function createProgram(signal: AbortSignal, ctrlC: CtrlC): Command {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const program = new Command('vitrine')
    .description('A transformer inference engine that you can see through.')
    .version(version)
    .enablePositionalOptions() // options after the name of a command are the command's
    .addHelpText('after', '\nExample:\n  $ vitrine generate "Why is the sky blue?"');
  for (const create of COMMANDS) program.addCommand(create(signal, ctrlC));
  for (const command of withCommands(program)) {
    // main prints the error, in one line.
    command.exitOverride().configureOutput({ outputError: () => undefined });
    if (command !== program) command.option('--verbose', 'show the stack of an error');
  }
  return program;
}

/** A command and those inside it. */
const withCommands = (command: Command): Command[] => [command, ...command.commands.flatMap(withCommands)];

/** Waits until the output has reached its reader, or the error event has been emitted. */
async function flushStdout(): Promise<void> {
  await new Promise((resolve) => process.stdout.write('', resolve));
  await new Promise((resolve) => setImmediate(resolve));
}
