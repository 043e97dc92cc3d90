import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseBytes } from '../format-bytes.ts';
import { LOAD_CHECKS, type LoadOptions } from '../engine/load/load-options.ts';
import { SAMPLING_CHECKS } from '../sampling/sampling-options.ts';
import { type Check, whole as wholeFrom } from '../options.ts';
import { BACKEND_NAMES } from '../tensor/backends.ts';
import type { GenerateOptions } from '../engine/generate/generate-options.ts';

/** The flags of commands that load a model. */
export interface ModelOptions extends Pick<
  LoadOptions,
  'backend' | 'weights' | 'compute' | 'threads' | 'revision' | 'allowLinks' | 'verify' | 'context' | 'maxMemory'
> {
  /** A folder, a .gguf file, or `org/name`. Default: the default model. */
  readonly model?: string;
}

/** Adds the flags of {@link ModelOptions} to a command. */
export function addModelOptions(command: Command): Command {
  return command
    .option('-m, --model <source>', 'a folder, a .gguf file, or org/name of the hub (default: SmolLM2-135M-Instruct)')
    .option('--revision <name>', 'branch, tag or commit of a hub model')
    .addOption(allowLinksOption())
    .addOption(verifyOption())
    .addOption(backendOption())
    .addOption(weightsOption())
    .addOption(
      new Option('--compute <dtype>', "dtype inside matrix products (default: the matrix's)").choices(['f32', 'bf16']),
    )
    .addOption(threadsOption())
    .addOption(contextOption())
    .addOption(maxMemoryOption());
}

/** `--allow-links` */
export const allowLinksOption = (): Option =>
  new Option('--allow-links', "follow links that lead out of the model's folder");

/** `--verify` */
export const verifyOption = (): Option =>
  new Option('--verify', 'hash every file first, and refuse one that differs from the published file');

/** `--backend` */
export const backendOption = (): Option =>
  new Option('--backend <name>', 'backend that computes (default: auto)').choices(['auto', ...BACKEND_NAMES]);

/** `--weights` */
export const weightsOption = (): Option =>
  new Option('--weights <dtype>', 'dtype of matrices in memory (default: as stored)').choices(['f32', 'bf16']);

/** `--threads` */
export const threadsOption = (): Option =>
  new Option('--threads <n>', 'threads of the backend (default: all cores)').argParser(numberFor(LOAD_CHECKS.threads));

/** `--context` */
export const contextOption = (): Option =>
  new Option(
    '--context <n>',
    "largest number of tokens in a text (default: the model's own, or as many as fit)",
  ).argParser(numberFor(LOAD_CHECKS.context));

/** `--max-memory` */
export const maxMemoryOption = (): Option =>
  new Option(
    '--max-memory <size>',
    'memory for the model, such as 8GB or 12GiB (default: 90% of the free memory)',
  ).argParser(bytes);

/** The options of `load` in the flags of a command. */
export const loadOptionsOf = (flags: ModelOptions) =>
  ({
    backend: flags.backend,
    weights: flags.weights,
    compute: flags.compute,
    threads: flags.threads,
    revision: flags.revision,
    allowLinks: flags.allowLinks,
    verify: flags.verify,
    context: flags.context,
    maxMemory: flags.maxMemory,
  }) satisfies Record<Exclude<keyof ModelOptions, 'model'>, unknown>;

/** Sampling and limits; what is not given comes from the model's generation_config.json. */
/** The flags of commands that generate text. */
export type SamplingFlags = Pick<
  GenerateOptions,
  | 'maxTokens'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'minP'
  | 'typicalP'
  | 'repetitionPenalty'
  | 'presencePenalty'
  | 'frequencyPenalty'
  | 'noRepeatNgramSize'
  | 'seed'
  | 'ignoreEos'
> & { readonly stop?: readonly string[] };

/** Adds the flags of {@link SamplingFlags} to a command. */
export function addSamplingOptions(command: Command): Command {
  return (
    command
      .option('--max-tokens <n>', 'largest number of new tokens', whole)
      .option('--temperature <x>', '0 is greedy', numberFor(SAMPLING_CHECKS.temperature))
      .option('--top-k <n>', 'keep the n most likely tokens; 0 is off', numberFor(SAMPLING_CHECKS.topK))
      .option('--top-p <x>', 'keep the most likely tokens up to this mass; 1 is off', numberFor(SAMPLING_CHECKS.topP))
      .option(
        '--min-p <x>',
        'keep tokens at least this likely relative to the most likely one; 0 is off',
        numberFor(SAMPLING_CHECKS.minP),
      )
      .option(
        '--typical-p <x>',
        'keep the most typical tokens up to this mass; 1 is off',
        numberFor(SAMPLING_CHECKS.typicalP),
      )
      .option(
        '--repetition-penalty <x>',
        'divide the logits of earlier tokens by this factor; 1 is off',
        numberFor(SAMPLING_CHECKS.repetitionPenalty),
      )
      .option(
        '--presence-penalty <x>',
        'subtract this from the logits of earlier tokens; 0 is off',
        numberFor(SAMPLING_CHECKS.presencePenalty),
      )
      .option(
        '--frequency-penalty <x>',
        'subtract this for each earlier occurrence; 0 is off',
        numberFor(SAMPLING_CHECKS.frequencyPenalty),
      )
      // commander would take it for the negation of an option `--repeat-ngram-size`.
      .addOption(
        Object.assign(new Option('--no-repeat-ngram-size <n>', 'generate no sequence of n tokens twice; 0 is off'), {
          negate: false,
        }).argParser(numberFor(SAMPLING_CHECKS.noRepeatNgramSize)),
      )
      .option(
        '--seed <n>',
        'seed of the sampling: the same seed gives the same tokens',
        numberFor(SAMPLING_CHECKS.seed),
      )
      .option('--stop <text>', 'text that ends the answer; may be given several times', (value, all?: string[]) => [
        ...(all ?? []),
        value,
      ])
      .option('--ignore-eos', "continue after the model's end of text")
  );
}

/** The options of `generate` in the flags of a command. */
export const generateOptionsOf = (flags: SamplingFlags) =>
  ({
    maxTokens: flags.maxTokens,
    temperature: flags.temperature,
    topK: flags.topK,
    topP: flags.topP,
    minP: flags.minP,
    typicalP: flags.typicalP,
    repetitionPenalty: flags.repetitionPenalty,
    presencePenalty: flags.presencePenalty,
    frequencyPenalty: flags.frequencyPenalty,
    noRepeatNgramSize: flags.noRepeatNgramSize,
    seed: flags.seed,
    ignoreEos: flags.ignoreEos,
    stop: flags.stop,
  }) satisfies Record<keyof SamplingFlags, unknown>;

/** A parser of numbers for commander that applies the check of an option. */
export const numberFor =
  ({ words, holds }: Check) =>
  (value: string): number => {
    const parsed = Number(value);
    if (value.trim() === '' || !holds(parsed)) throw new InvalidArgumentError(`Expected ${words}.`);
    return parsed;
  };

/** A parser of any finite number. */
export const number = numberFor({ words: 'a number', holds: Number.isFinite });
/** A parser of whole numbers from 0 on. */
export const whole = numberFor(wholeFrom(0));
/** A parser of whole numbers from 1 on. */
export const positive = numberFor(wholeFrom(1));

function bytes(value: string): number {
  const parsed = parseBytes(value);
  if (parsed === undefined || !LOAD_CHECKS.maxMemory.holds(parsed))
    throw new InvalidArgumentError('Expected a size such as 8GB, 1.5GiB or 500MB.');
  return parsed;
}
