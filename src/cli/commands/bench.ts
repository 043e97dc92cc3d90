import { Command, InvalidArgumentError, Option } from 'commander';
import { DISTRIBUTIONS, type Distribution } from '../../bench/inputs/distributions.ts';
import { VARIANT_NAMES } from '../../bench/variants/engine-variants.ts';
import type { ReportFiles } from '../../bench/write/write-report.ts';
import { benchCompareCommand } from './bench-compare.ts';
import { benchModelCommand } from './bench-model.ts';
import { benchProfileCommand } from './bench-profile.ts';
import { GateFailed } from '../failure.ts';
import { defaultModel } from '../load-model.ts';
import { number, positive, threadsOption } from '../flags.ts';

interface BenchFlags extends Pick<ReportFiles, 'markdown' | 'csv' | 'svg'> {
  readonly model?: readonly string[];
  readonly shape?: readonly string[];
  readonly site?: readonly string[];
  readonly inputs?: readonly Distribution[];
  readonly variants?: readonly string[];
  readonly variant?: readonly string[];
  readonly baseline?: string;
  readonly cold?: boolean;
  readonly warm?: boolean;
  readonly processes: number;
  readonly maxProcesses?: number;
  readonly seconds: number;
  readonly minEffect: number;
  readonly threads?: number;
  readonly seed?: number;
  readonly measure: boolean;
  readonly failOnUnsure?: boolean;
  readonly json?: string | true;
}

/** `vitrine bench`: measures kernels, with subcommands for models, profiles and reports. */
export function benchCommand(signal: AbortSignal): Command {
  const command = new Command('bench')
    .description('Measure kernels: are they right, how fast are they, and what does a token gain.')
    .argument('<suites...>', 'rms-norm, linear, rotate, attention, softmax, swiglu, experts, or all')
    .option(
      '-m, --model <source>',
      'the model whose shapes are measured; repeatable (default: the default model)',
      repeated,
    )
    .option('--shape <names>', 'a list of decode, decode:DEPTH and prefill:TOKENS (default: decode)', list)
    .option('--site <parts>', 'only sites (places in the model) whose name contains one of these', list)
    .option('--inputs <kinds>', `activations: ${DISTRIBUTIONS.join(', ')} (default: normal)`, distributions)
    .option('--variants <names>', `of the engine: ${VARIANT_NAMES.join(', ')}`, list)
    .option('--variant <file>', 'your own kernel: a .ts or .mjs file that computes the op; repeatable', repeated)
    .option('--baseline <name>', "the variant that others are compared with (default: the engine's first)")
    .addOption(new Option('--cold', 'read weights that have left the cache (default: for decode)').conflicts('warm'))
    .addOption(new Option('--warm', 'read weights from the cache (default: for prefill)'))
    .option('--processes <n>', 'the least number of processes', positive, 5)
    .option('--max-processes <n>', 'the largest number, while a verdict is UNSURE (default: twice as many)', positive)
    .option('--seconds <x>', 'time for a case in one process', number, 1)
    .option('--min-effect <percent>', 'the least difference that counts', number, 5)
    .addOption(threadsOption())
    .option('--seed <n>', 'determines the inputs', positive)
    .option('--no-measure', 'do not time the model itself beside the prediction')
    .option('--fail-on-unsure', 'exit with 3 if a verdict is UNSURE')
    .option(
      '--json [file]',
      'write all samples, with the machine and settings; without a file, to stdout instead of the table',
    )
    .option('--markdown <file>', 'write the tables')
    .option('--csv <file>', 'write one line for each variant')
    .option('--svg <file>', 'write a bar chart')
    .addHelpText(
      'after',
      '\nExit code: 0, 1 if a variant is SLOWER, 2 if one is WRONG or UNTRUSTED, 3 if one is UNSURE (--fail-on-unsure).\n' +
        '\nExample:\n  $ vitrine bench linear --shape decode --variant ./my-kernel.ts',
    )
    .enablePositionalOptions()
    .action((suites: string[], flags: BenchFlags) => bench(suites, flags, signal));
  return command
    .addCommand(benchModelCommand(signal))
    .addCommand(benchProfileCommand(signal))
    .addCommand(benchCompareCommand());
}

const repeated = (value: string, all: readonly string[] = []): string[] => [...all, value];
const list = (value: string, all: readonly string[] = []): string[] => [...all, ...value.split(',')];

function distributions(value: string, all: readonly Distribution[] = []): Distribution[] {
  const kinds = value.split(',').map((name) => DISTRIBUTIONS.find((kind) => kind === name));
  if (kinds.includes(undefined)) throw new InvalidArgumentError(`Expected ${DISTRIBUTIONS.join(', ')}.`);
  return [...all, ...kinds.filter((kind) => kind !== undefined)];
}

async function bench(suites: readonly string[], flags: BenchFlags, signal: AbortSignal): Promise<void> {
  const harness = await import('../../bench/index.ts');
  const { processes, maxProcesses = 2 * processes, json, failOnUnsure } = flags;
  const report = await harness.run({
    suites: suites.includes('all') ? harness.SUITES.map(({ name }) => name) : suites,
    models: flags.model ?? [await defaultModel(signal)],
    shapes: flags.shape,
    sites: flags.site,
    inputs: flags.inputs,
    variants: flags.variants,
    files: flags.variant,
    baseline: flags.baseline,
    cold: flags.cold === true ? true : flags.warm === true ? false : undefined,
    processes: [processes, Math.max(processes, maxProcesses)],
    seconds: flags.seconds,
    minEffect: flags.minEffect / 100,
    threads: flags.threads,
    seed: flags.seed,
    measureModel: flags.measure,
    onProgress: (text) => {
      process.stderr.write(`${text}\n`);
    },
    signal,
  });
  await harness.writeReport(report, { ...flags, json: json === true ? undefined : json });
  process.stdout.write(json === true ? harness.toJson(report) : harness.toTable(report));
  const verdicts = report.rows.map(({ verdict }) => verdict);
  GateFailed.unlessFine(harness.gate(verdicts, { failOnUnsure }), verdicts);
}
