import { addAbortSignal } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import type { GeneratedToken } from '../../engine/generate/token-loop.ts';
import type { Model } from '../../engine/model.ts';
import { type ChannelSpan, joinSpans } from '../../tokenizer/channels/spans.ts';
import { AnswerPrinter } from '../answer-printer.ts';
import { UsageError } from '../failure.ts';
import { loadModel } from '../load-model.ts';
import {
  addModelOptions,
  addSamplingOptions,
  generateOptionsOf,
  type ModelOptions,
  type SamplingFlags,
  whole,
} from '../flags.ts';
import { addReasoningOptions, type ReasoningFlags, reasoningVariables } from '../reasoning-flags.ts';
import { SpeedMeter, printSpeed } from '../speed.ts';

interface GenerateFlags extends ModelOptions, SamplingFlags, ReasoningFlags {
  readonly system?: string;
  readonly raw?: boolean;
  readonly json?: boolean;
  readonly logprobs?: number;
}

const BUILT_IN_PROMPT = 'What is a museum, and why do people visit one?';

/** `vitrine generate` */
export function generateCommand(signal: AbortSignal): Command {
  const command = new Command('generate')
    .description('Answer a prompt, or continue it if the model has no chat template.')
    .argument('[prompt]', 'the text, or - to read it from stdin', BUILT_IN_PROMPT)
    .addOption(new Option('--system <text>', 'a system message before the prompt').conflicts('raw'))
    .option('--raw', 'use the prompt as it is, without the chat template');
  return addSamplingOptions(addModelOptions(addReasoningOptions(command)))
    .option('--json', 'print one JSON object: text, tokens, finishReason, speed; with reasoning also channels')
    .addOption(
      new Option('--logprobs <n>', 'print the log-probabilities of the n most likely tokens; implies --json')
        .argParser(whole)
        .implies({ json: true }),
    )
    .addHelpText('after', '\nExample:\n  $ vitrine generate "Why is the sky blue?" --max-tokens 100 --temperature 0.7')
    .action((prompt: string, flags: GenerateFlags) => generate(prompt, flags, signal));
}

async function generate(prompt: string, flags: GenerateFlags, signal: AbortSignal): Promise<void> {
  const text = prompt === '-' ? await readText(addAbortSignal(signal, process.stdin)) : prompt;
  const model = await loadModel(flags, signal);
  try {
    const prompt = promptOf(model, text, flags);
    const meter = new SpeedMeter(model.tokensOf(prompt).length);
    const answer = model.generate(prompt, { ...generateOptionsOf(flags), logprobs: flags.logprobs, signal });
    await (flags.json ? printJson : printText)(answer, meter, flags);
  } finally {
    model.dispose();
  }
}

function promptOf(model: Model, text: string, flags: GenerateFlags): string | readonly number[] {
  const { raw = false, system } = flags;
  if (raw || !model.tokenizer.hasChatTemplate) {
    for (const flag of ['system', 'effort', 'thinking'] as const) {
      if (flags[flag] !== undefined)
        throw new UsageError(`--${flag}: ${model.files.source} has no chat template. Leave it out.`);
    }
    return text;
  }
  const user = { role: 'user', content: text };
  const messages = system === undefined ? [user] : [{ role: 'system', content: system }, user];
  return model.renderChat(messages, { ...reasoningVariables(model, flags), addGenerationPrompt: true }).tokens;
}

/** Prints the text to stdout as it is generated, and the speed to stderr, also after Ctrl-C. */
async function printText(
  answer: AsyncIterable<GeneratedToken>,
  meter: SpeedMeter,
  flags: GenerateFlags,
): Promise<void> {
  const printer = new AnswerPrinter(flags);
  try {
    for await (const token of answer) {
      meter.count();
      printer.print(token);
    }
  } finally {
    if (meter.speed !== undefined) printer.end();
    printSpeed(meter.speed);
  }
}

const answerOf = (spans: readonly ChannelSpan[]): string =>
  spans.map(({ channel, content }) => (channel === 'final' ? content : '')).join('');

async function printJson(
  answer: AsyncIterable<GeneratedToken>,
  meter: SpeedMeter,
  { logprobs }: GenerateFlags,
): Promise<void> {
  const tokens: GeneratedToken[] = [];
  for await (const token of answer) {
    meter.count();
    tokens.push(token);
  }
  const spans = tokens.flatMap((token) => token.spans ?? []);
  const result = {
    text: spans.length > 0 ? answerOf(spans) : tokens.map(({ text }) => text).join(''),
    ...(tokens[0]?.spans && { channels: joinSpans(spans) }),
    ...(tokens.at(-1)?.toolCalls && { toolCalls: tokens.at(-1)?.toolCalls }),
    tokens: tokens.map(({ token }) => token),
    finishReason: tokens.at(-1)?.finishReason ?? 'length',
    ...(logprobs !== undefined && {
      logprobs: tokens.map(({ token, logprob, topLogprobs }) => ({ token, logprob, top: topLogprobs ?? [] })),
    }),
    speed: meter.speed ?? null,
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  printSpeed(meter.speed);
}
