import { Command, InvalidArgumentError, Option } from 'commander';
import { DISTRIBUTIONS, type Distribution } from '../../bench/distributions.ts';
import type { ReportFiles } from '../../bench/write/index.ts';
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

export function benchCommand(signal: AbortSignal): Command {
  const command = new Command('bench')
    .description('Measure kernels: is one right, is it faster, by how much, and what does a token gain by it.')
    .argument('<suites...>', 'rms-norm, linear, rotate, attention, softmax, swiglu, experts, or all')
    .option(
      '-m, --model <source>',
      'whose shapes are taken; may be given several times (default: the default model)',
      repeated,
    )
    .option('--shape <names>', 'decode, decode:DEPTH or prefill:TOKENS, several with commas (default: decode)', list)
    .option('--site <parts>', 'only where the name of the place in the model has one of these', list)
    .addOption(
      new Option('--inputs <kinds>', 'activations: normal, outliers, denormal, recorded (default: normal)').argParser(distributions), // prettier-ignore
    )
    .option(
      '--variants <names>',
      'of the engine: tensorflow-bf16, tensorflow-f32, tensorflow-mxfp4, tensorflow-fp8, tensorflow, reference, or none',
      list,
    )
    .option(
      '--variant <file>',
      'your own kernel, a .ts or .mjs file that computes the op; may be given several times',
      repeated,
    )
    .option('--baseline <name>', "what others are compared with (default: the engine's first)")
    .addOption(new Option('--cold', 'read weights from memory (default: while decoding)').conflicts('warm'))
    .addOption(new Option('--warm', 'read weights from the cache (default: for prompts)'))
    .option('--processes <n>', 'processes at least', positive, 5)
    .option('--max-processes <n>', 'and at most, while a verdict is open (default: twice as many)', positive)
    .option('--seconds <x>', 'time for a case in one process', number, 1)
    .option('--min-effect <percent>', 'the least difference that counts', number, 5)
    .addOption(threadsOption())
    .option('--seed <n>', 'same seed, same inputs', positive)
    .option('--no-measure', 'do not run the model beside the prediction')
    .option('--fail-on-unsure', 'exit with 3 where a verdict is open')
    .option(
      '--json [file]',
      'write all samples and what they belong to; without a file, to stdout instead of the table',
    )
    .option('--markdown <file>', 'write the tables')
    .option('--csv <file>', 'write one line for each variant')
    .option('--svg <file>', 'write a bar chart')
    .addHelpText(
      'after',
      '\nExit code: 0, 1 where a variant is SLOWER, 2 where one is WRONG or UNTRUSTED, 3 UNSURE (--fail-on-unsure).\n' +
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
