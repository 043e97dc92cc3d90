import { Command } from 'commander';
import { formatBytes } from '../../format-bytes.ts';
import { describeNeed, type MemoryFit } from '../../engine/load/memory-plan.ts';
import type { MachineInfo } from '../info/machine-info.ts';
import type { ModelInfo } from '../info/model-info.ts';
import { withProgress } from '../load-model.ts';
import {
  allowLinksOption,
  contextOption,
  maxMemoryOption,
  type ModelOptions,
  threadsOption,
  verifyOption,
  weightsOption,
} from '../flags.ts';
import { colorsFor, oneLine } from '../printable.ts';

interface InfoFlags extends Pick<
  ModelOptions,
  'revision' | 'allowLinks' | 'verify' | 'weights' | 'threads' | 'context' | 'maxMemory'
> {
  readonly json?: boolean;
}

/** `vitrine info` */
export function infoCommand(signal: AbortSignal): Command {
  return new Command('info')
    .description('Describe this machine and, if one is given, a model, without reading its weights.')
    .argument('[model]', 'a folder, a .gguf file, or org/name of the hub, which is downloaded')
    .option('--revision <name>', 'branch, tag or commit of a hub model')
    .addOption(allowLinksOption())
    .addOption(verifyOption())
    .addOption(weightsOption())
    .addOption(threadsOption())
    .addOption(contextOption())
    .addOption(maxMemoryOption())
    .option('--json', 'print one JSON object: model, machine')
    .addHelpText('after', '\nExample:\n  $ vitrine info model.gguf')
    .action((model: string | undefined, flags: InfoFlags) => info(model, flags, signal));
}

async function info(source: string | undefined, flags: InfoFlags, signal: AbortSignal): Promise<void> {
  const [{ modelInfo }, { machineInfo }] = await Promise.all([
    import('../info/model-info.ts'),
    import('../info/machine-info.ts'),
  ]);
  const model =
    source === undefined
      ? undefined
      : await withProgress((onProgress) => modelInfo(source, { ...flags, onProgress, signal }));
  const machine = machineInfo(flags.threads);
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ model: model ?? null, machine }, null, 2)}\n`);
    return;
  }
  const { bold } = colorsFor(process.stdout);
  const sections = model ? [section(bold(oneLine(model.source)), modelRows(model))] : [];
  sections.push(section(bold('This machine'), machineRows(machine)));
  process.stdout.write(`${sections.join('\n\n')}\n`);
}

type Row = readonly [name: string, value: string];

function modelRows({ config, parameters, formats, context, memory, tokenizer, eos, notes }: ModelInfo): Row[] {
  const { modelType, nLayers, dim, nHeads, nKvHeads, headDim, mlpDim, vocabSize, windows } = config;
  const template = tokenizer?.chatTemplate ? 'chat template' : 'no chat template';
  return [
    ['architecture', `${modelType}, ${nLayers} layers, width ${dim}, mlp ${mlpDim}, vocabulary ${count(vocabSize)}`],
    ['attention', `${nHeads} heads of ${headDim}, ${nKvHeads} for keys and values${windowWords(windows)}`],
    ['parameters', count(parameters)],
    ...Object.entries(formats).map(([format, { tensors, bytes }]): Row => [
      'stored',
      `${tensors} tensors ${format}, ${formatBytes(bytes)}`,
    ]),
    ['context', `${count(context)} tokens`],
    [
      'memory',
      `${formatBytes(memory.weights)} weights, ${formatBytes(memory.cachePer1000Tokens)} cache per 1,000 tokens`,
    ],
    ['needs', describeNeed(memory.need)],
    ['fits', `${fitWords(memory)}, into ${formatBytes(memory.budget)}`],
    ['tokenizer', tokenizer ? `${count(tokenizer.vocabSize)} tokens, ${template}` : 'none'],
    ['end of text', eos.map(({ id, token }) => (token === null ? String(id) : `${id} ${token}`)).join(', ') || 'none'],
    ...notes.map((note): Row => ['note', note]),
  ];
}

function windowWords(windows: readonly number[]): string {
  const sliding = windows.filter(Number.isFinite);
  if (sliding.length === 0) return '';
  const where = sliding.length < windows.length ? ` in ${sliding.length} of ${windows.length} layers` : '';
  return `, sliding window of ${count(Math.min(...sliding))} tokens${where}`;
}

const fitWords = ({ need, fitting }: MemoryFit): string =>
  fitting === 0 ? 'no' : fitting === need.context ? 'yes' : `up to ${count(fitting)} tokens`;

function machineRows({ node, platform, cpu, cores, memory, threads, backends }: MachineInfo): Row[] {
  return [
    ['node', `${node}, ${platform}`],
    ['processor', `${cpu}, ${cores} cores`],
    ['memory', `${formatBytes(memory.total)}, ${formatBytes(memory.free)} free`],
    ...backends.map(({ name, used, available, description }): Row => [
      'backend',
      `${name} (${used ? 'used' : available ? 'available' : 'not available'}): ${description}`,
    ]),
    ['threads', String(threads)],
  ];
}

const section = (title: string, rows: readonly Row[]): string =>
  [title, ...rows.map(([name, value]) => `  ${name.padEnd(12)}  ${oneLine(value)}`)].join('\n');

const count = (n: number): string => n.toLocaleString('en-US');
