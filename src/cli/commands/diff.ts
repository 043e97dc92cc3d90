import { Command, InvalidArgumentError, Option } from 'commander';
import type { Model } from '../../engine/model.ts';
import type { Prompt } from '../../engine/prompt.ts';
import type { Recording } from '../../inspect/recording.ts';
import { divergenceTable } from '../divergence-table.ts';
import { GateFailed, UsageError } from '../failure.ts';
import { backendOption, maxMemoryOption, type ModelOptions, threadsOption, weightsOption } from '../flags.ts';
import { loadModel } from '../load-model.ts';
import { oneLine } from '../printable.ts';

interface DiffFlags extends Pick<ModelOptions, 'threads' | 'maxMemory'> {
  readonly prompt?: string;
  readonly tokens?: number[];
  readonly backendA?: ModelOptions['backend'];
  readonly backendB?: ModelOptions['backend'];
  readonly weightsA?: ModelOptions['weights'];
  readonly weightsB?: ModelOptions['weights'];
  readonly computeA?: ModelOptions['compute'];
  readonly computeB?: ModelOptions['compute'];
  readonly oracle?: boolean;
  readonly all?: boolean;
  readonly json?: boolean;
}

const BUILT_IN_PROMPT = 'When Mary and John went to the store, John gave a drink to';

/** `vitrine diff` */
export function diffCommand(signal: AbortSignal): Command {
  const command = new Command('diff')
    .description('Compare two passes hook by hook: the first activation that differs by more than rounding explains.')
    .argument('<a>', 'a model (folder, .gguf file, or org/name of the hub), or a recording (.safetensors file)')
    .argument('[b]', 'the same (default: the model a again, with other options)')
    .option(
      '--prompt <text>',
      `the text that both read, without chat template (default: that of a recording, or "${BUILT_IN_PROMPT}")`,
    )
    .addOption(
      new Option('--tokens <ids>', 'token ids with commas between them, instead of a text')
        .conflicts('prompt')
        .argParser(ids),
    );
  for (const side of ['a', 'b'])
    for (const option of [backendOption(), weightsOption(), computeOption()]) command.addOption(ofSide(option, side));
  return command
    .option('--oracle', 'run the model in f64 too (backend reference-f64), and say which of the two is wrong')
    .addOption(threadsOption())
    .addOption(maxMemoryOption())
    .option('--all', 'list all hooks, not only those that differ by more than rounding explains')
    .option('--json', 'print one JSON object: verdict, reason, first, hooks')
    .addHelpText(
      'after',
      '\nExit code: 0 if no difference is more than rounding explains, 1 if one is, or after an error.\n' +
        '\nExamples:\n  $ vitrine diff ./model --backend-b reference\n  $ vitrine diff ./model model.gguf --prompt "Why is the sky blue?"\n' +
        '  $ vitrine diff ./model dump.safetensors',
    )
    .action((a: string, b: string | undefined, flags: DiffFlags) => diff(a, b, flags, signal));
}

const computeOption = (): Option =>
  new Option('--compute <dtype>', 'dtype inside matrix products (default: f32)').choices(['f32', 'bf16']);

/** An option of one of the two sides: `--backend <name>` as `--backend-a <name>`. */
function ofSide({ flags, description, argChoices }: Option, side: string): Option {
  const option = new Option(flags.replace(' ', `-${side} `), `${side}: ${description}`);
  return argChoices ? option.choices(argChoices) : option;
}

function ids(text: string): number[] {
  const numbers = text.split(',').map((part) => (/^ *\d+ *$/.test(part) ? Number(part) : NaN));
  if (numbers.some(Number.isNaN)) throw new InvalidArgumentError('Expected whole numbers with commas between them.');
  return numbers;
}

/** What `vitrine diff` opens: it frees all at the end. */
class Opened {
  readonly #all: (Model | Recording)[] = [];
  readonly #flags: DiffFlags;
  readonly #signal: AbortSignal;

  constructor(flags: DiffFlags, signal: AbortSignal) {
    this.#flags = flags;
    this.#signal = signal;
  }

  async model(options: ModelOptions): Promise<Model> {
    const { threads, maxMemory } = this.#flags;
    return this.#owned(await loadModel({ threads, maxMemory, ...options }, this.#signal));
  }

  async recording(path: string): Promise<Recording> {
    const [{ loadRecording }, { createBackend }] = await Promise.all([
      import('../../inspect/recording-file.ts'),
      import('../../tensor/backends.ts'),
    ]);
    return this.#owned(await loadRecording(path, { backend: createBackend('reference') })); // It computes nothing.
  }

  #owned<T extends Model | Recording>(opened: T): T {
    this.#all.push(opened);
    return opened;
  }

  dispose(): void {
    for (const one of this.#all) one.dispose();
  }
}

async function diff(sourceA: string, given: string | undefined, flags: DiffFlags, signal: AbortSignal): Promise<void> {
  const sourceB = given ?? sourceA;
  const models = [sourceA, sourceB].filter((source) => !isRecordingFile(source));
  if (flags.oracle && models.length === 0)
    throw new UsageError('--oracle: neither of the two is a model that could be run. Leave it out.');
  const { firstDivergence } = await import('../../inspect/divergence/first-divergence.ts');
  const opened = new Opened(flags, signal);
  const open = (source: string, options: ModelOptions): Promise<Model | Recording> =>
    isRecordingFile(source) ? opened.recording(source) : opened.model({ model: source, ...options });
  try {
    const a = await open(sourceA, { backend: flags.backendA, weights: flags.weightsA, compute: flags.computeA });
    const b = await open(sourceB, { backend: flags.backendB, weights: flags.weightsB, compute: flags.computeB });
    const exact = { model: models[0], backend: 'reference-f64', weights: 'f32', compute: 'f32' } as const;
    const oracle = flags.oracle ? await opened.model(exact) : undefined;
    const prompt = promptOf(flags, [a, b]);
    const found = firstDivergence(a, b, { prompt, oracle });
    const model = [a, b].find((side) => 'tokenizer' in side);
    const tokenText = typeof prompt === 'string' && model ? (id: number) => model.tokenizer.decode([id]) : undefined;
    process.stdout.write(
      flags.json
        ? `${JSON.stringify({ a: sourceA, b: sourceB, ...found }, null, 2)}\n`
        : divergenceTable(found, { all: flags.all ?? false, tokenText }),
    );
    const { verdict, reason } = found;
    if (verdict === 'bug' || verdict === 'weights') throw new GateFailed(`${verdict}: ${reason}`, 1);
    if (!flags.json) process.stdout.write(`${verdict}: ${oneLine(reason)}\n`);
  } finally {
    opened.dispose();
  }
}

const isRecordingFile = (source: string): boolean => source.endsWith('.safetensors');

/** What models run; undefined where a recording tells it, or neither is a model. */
function promptOf({ prompt, tokens }: DiffFlags, sides: readonly (Model | Recording)[]): Prompt | undefined {
  const isRecorded = sides.some((side) => 'tokens' in side && side.tokens.length > 0);
  return tokens ?? prompt ?? (isRecorded ? undefined : BUILT_IN_PROMPT);
}
