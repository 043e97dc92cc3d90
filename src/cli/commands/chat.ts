import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { Command } from 'commander';
import { Interrupted } from '../../platform/deadline.ts';
import { VitrineError } from '../../errors.ts';
import { AnswerPrinter } from '../answer-printer.ts';
import { Conversation } from '../conversation.ts';
import type { CtrlC } from '../ctrl-c.ts';
import { report, UsageError } from '../failure.ts';
import { loadModel } from '../load-model.ts';
import {
  addModelOptions,
  addSamplingOptions,
  generateOptionsOf,
  type ModelOptions,
  type SamplingFlags,
} from '../flags.ts';
import { addReasoningOptions, type ReasoningFlags, reasoningVariables } from '../reasoning-flags.ts';
import { SpeedMeter, printSpeed } from '../speed.ts';
import { colorsFor } from '../printable.ts';

interface ChatFlags extends ModelOptions, SamplingFlags, ReasoningFlags {
  readonly system?: string;
  readonly verbose?: boolean;
}

const HELP = `/reset      start a new conversation
/save FILE  write the conversation as JSON; FILE must not exist
/help       list the commands
/exit       leave, as Ctrl-D does
Ctrl-C stops an answer, and leaves at an empty line. A line that begins with a space is never a command.`;

/** `vitrine chat` */
export function chatCommand(signal: AbortSignal, ctrlC: CtrlC): Command {
  const command = new Command('chat')
    .description('Talk with a model. Without a terminal, every line of stdin is a turn.')
    .option('--system <text>', 'a system message before the conversation');
  return addSamplingOptions(addModelOptions(addReasoningOptions(command)))
    .addHelpText('after', `\nIn the conversation:\n${HELP}\n\nExample:\n  $ vitrine chat --temperature 0.7`)
    .action((flags: ChatFlags) => chat(flags, signal, ctrlC));
}

async function chat(flags: ChatFlags, signal: AbortSignal, ctrlC: CtrlC): Promise<void> {
  const model = await loadModel(flags, signal);
  try {
    if (!model.tokenizer.hasChatTemplate)
      throw new UsageError(`${model.files.source} has no chat template. Use vitrine generate.`);
    const conversation = new Conversation(model, flags.system, reasoningVariables(model, flags));
    try {
      await converse(conversation, flags, signal, ctrlC);
    } finally {
      conversation.dispose();
    }
  } finally {
    model.dispose();
  }
}

/** Reads lines until there are no more, `/exit`, or Ctrl-C at an empty line. */
async function converse(
  conversation: Conversation,
  flags: ChatFlags,
  signal: AbortSignal,
  ctrlC: CtrlC,
): Promise<void> {
  const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
  const lines = createInterface({
    input: process.stdin,
    ...(isTerminal && { output: process.stdout }),
    prompt: colorsFor(process.stdout).bold('> '),
    signal,
  });
  const turns = isTerminal ? new Turns(lines, ctrlC) : undefined;
  if (isTerminal) {
    process.stdout.write('/help lists the commands.\n');
    lines.prompt();
  }
  try {
    for await (const line of lines) {
      try {
        if (line.trim() !== '' && (await handle(line, conversation, flags, turns, signal)) === 'exit') return;
      } catch (error) {
        // At a terminal the conversation continues; a script needs the exit code.
        if (!isTerminal || !(error instanceof VitrineError)) throw error;
        report(error, flags.verbose ?? false);
      }
      if (isTerminal) lines.prompt();
    }
    // After Ctrl-D and Ctrl-C, the cursor is behind the prompt.
    if (isTerminal) process.stdout.write('\n');
  } finally {
    lines.close();
  }
}

async function handle(
  line: string,
  conversation: Conversation,
  flags: ChatFlags,
  turns: Turns | undefined,
  signal: AbortSignal,
): Promise<'exit' | undefined> {
  const typed = /^(?<command>\/\S*)\s*(?<argument>.*)$/.exec(line.trimEnd())?.groups;
  if (typed === undefined) {
    const turn = (ended: AbortSignal) => answer(conversation, line.trim(), { ...flags, signal: ended });
    await (turns ? turns.interruptible(signal, turn) : turn(signal));
    return undefined;
  }
  switch (typed.command) {
    case '/reset':
      conversation.reset();
      return undefined;
    case '/save':
      await save(conversation, typed.argument);
      return undefined;
    case '/help':
      process.stdout.write(`${HELP}\n`);
      return undefined;
    case '/exit':
      return 'exit';
    default:
      throw new UsageError(`there is no command ${typed.command}. /help lists the commands.`);
  }
}

async function answer(
  conversation: Conversation,
  content: string,
  options: SamplingFlags & ReasoningFlags & { signal: AbortSignal },
): Promise<void> {
  let meter = new SpeedMeter(0);
  const tokens = conversation.say(
    content,
    { ...generateOptionsOf(options), signal: options.signal },
    (promptTokens) => (meter = new SpeedMeter(promptTokens)),
  );
  const printer = new AnswerPrinter(options);
  try {
    for await (const token of tokens) {
      meter.count();
      printer.print(token);
    }
  } finally {
    printer.end();
    printSpeed(meter.speed);
  }
}

async function save({ messages }: Conversation, path: string): Promise<void> {
  if (path === '') throw new UsageError('/save: expected the name of a file, as in /save conversation.json.');
  try {
    await writeFile(path, `${JSON.stringify(messages, null, 2)}\n`, { flag: 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'EEXIST' ? 'it exists already' : message;
    throw new UsageError(`/save: ${path} was not written: ${reason}. Choose another name.`);
  }
  process.stderr.write(`saved ${messages.length} messages to ${path}\n`);
}

/** The effects of Ctrl-C at a terminal: it stops the answer, clears the line, or ends the conversation. */
class Turns {
  readonly #lines: Interface;
  readonly #ctrlC: CtrlC;

  constructor(lines: Interface, ctrlC: CtrlC) {
    this.#lines = lines;
    this.#ctrlC = ctrlC;
    lines.on('SIGINT', () => {
      if (lines.line === '') lines.close();
      else lines.write(null, { ctrl: true, name: 'u' });
    });
  }

  /** Runs a turn. Ctrl-C ends it without an error. */
  async interruptible(signal: AbortSignal, turn: (either: AbortSignal) => Promise<void>): Promise<void> {
    const stop = new AbortController();
    const release = this.#ctrlC.listen(() => {
      stop.abort(new Interrupted('Ctrl-C'));
    });
    // In raw mode, in which a line is edited, Ctrl-C is a byte to read; here it must be a signal.
    this.#lines.pause();
    process.stdin.setRawMode(false);
    try {
      await turn(AbortSignal.any([signal, stop.signal]));
    } catch (error) {
      // Work with a deadline is interrupted before the signal is aborted.
      if (error instanceof Interrupted && !signal.aborted && !stop.signal.aborted) await once(stop.signal, 'abort');
      if (!stop.signal.aborted) throw error;
    } finally {
      process.stdin.setRawMode(true);
      release();
    }
  }
}
