import { Command, InvalidArgumentError } from 'commander';
import type { ModelBenchOptions } from '../../bench/model/model-bench.ts';
import type { ModelReportFiles } from '../../bench/model/model-report.ts';
import { defaultModel } from '../load-model.ts';
import { positive, threadsOption, whole } from '../flags.ts';
import { BACKEND_NAMES } from '../../tensor/backends.ts';

const BACKENDS = ['auto', ...BACKEND_NAMES] as const;

interface ModelFlags extends Pick<ModelReportFiles, 'markdown' | 'csv'> {
  readonly pp: number;
  readonly tg: number;
  readonly depth?: readonly number[];
  readonly repetitions: number;
  readonly backend?: ModelBenchOptions['backends'];
  readonly weights?: ModelBenchOptions['weights'];
  readonly threads?: number;
  readonly json?: string | true;
}

/** `vitrine bench model`: measures a whole model. */
export function benchModelCommand(signal: AbortSignal): Command {
  return new Command('model')
    .description('Measure a whole model: prompt, decoding, first token, load and memory.')
    .argument('[model]', 'a folder, a .gguf file, or org/name of the hub (default: SmolLM2-135M-Instruct)')
    .option('--pp <n>', 'tokens of the prompt', positive, 512)
    .option('--tg <n>', 'tokens generated', positive, 128)
    .option('--depth <list>', 'tokens in the cache before those, a list such as 0,2048 (default: 0)', listOf(whole))
    .option('-r, --repetitions <n>', 'processes for each backend and weight format', positive, 5)
    .option('--backend <list>', `${BACKENDS.join(', ')} (default: auto)`, listOf(oneOf(BACKENDS)))
    .option('--weights <list>', 'auto, f32, bf16 (default: auto)', listOf(oneOf(['auto', 'f32', 'bf16'])))
    .addOption(threadsOption())
    .option('--json [file]', 'write all samples; without a file, to stdout instead of the table')
    .option('--markdown <file>', 'write the table')
    .option('--csv <file>', 'write one line for each row')
    .addHelpText(
      'after',
      '\nExample:\n  $ vitrine bench model model.gguf --pp 512 --tg 128 --depth 0,2048 --weights bf16,f32 -r 5',
    )
    .action((model: string | undefined, flags: ModelFlags) => benchModel(model, flags, signal));
}

async function benchModel(model: string | undefined, flags: ModelFlags, signal: AbortSignal): Promise<void> {
  const [{ benchModel: measure }, write] = await Promise.all([
    import('../../bench/model/model-bench.ts'),
    import('../../bench/model/model-report.ts'),
  ]);
  const { depth: depths, backend: backends, json, markdown, csv, ...options } = flags;
  const report = await measure({
    source: model ?? (await defaultModel(signal)),
    ...options,
    depths,
    backends,
    onProgress: (text) => {
      process.stderr.write(`${text}\n`);
    },
    signal,
  });
  await write.writeModelReport(report, { json: json === true ? undefined : json, markdown, csv });
  process.stdout.write(json === true ? write.modelJson(report) : write.modelTable(report));
}

/** Parses a list with commas, without duplicates. */
const listOf =
  <T>(parse: (text: string) => T) =>
  (list: string): T[] => [...new Set(list.split(',').map((text) => parse(text.trim())))];

const oneOf =
  <const T extends string>(choices: readonly T[]) =>
  (text: string): T => {
    const choice = choices.find((name) => name === text);
    if (choice === undefined) throw new InvalidArgumentError(`Expected ${choices.join(', ')}.`);
    return choice;
  };
