import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseBytes } from '../format-bytes.ts';
import { LOAD_CHECKS, type LoadOptions } from '../engine/load/load-options.ts';
import { SAMPLING_CHECKS } from '../sampling/sampling-options.ts';
import { type Check, whole as wholeFrom } from '../options.ts';
import { BACKEND_NAMES } from '../tensor/backends.ts';
import type { GenerateOptions } from '../engine/generate/generate-options.ts';

/** Where a model comes from and how it is held. */
export interface ModelOptions extends Pick<
  LoadOptions,
  'backend' | 'weights' | 'compute' | 'threads' | 'revision' | 'allowLinks' | 'verify' | 'context' | 'maxMemory'
> {
  readonly model?: string;
}

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

export const allowLinksOption = (): Option =>
  new Option('--allow-links', "follow links that lead out of the model's folder");

export const verifyOption = (): Option =>
  new Option('--verify', 'hash every file first; refuse one that is not as published');

export const backendOption = (): Option =>
  new Option('--backend <name>', 'what computes (default: auto)').choices(['auto', ...BACKEND_NAMES]);

export const weightsOption = (): Option =>
  new Option('--weights <dtype>', 'dtype of matrices in memory (default: as stored)').choices(['f32', 'bf16']);

export const threadsOption = (): Option =>
  new Option('--threads <n>', 'threads of the backend (default: all cores)').argParser(numberFor(LOAD_CHECKS.threads));

export const contextOption = (): Option =>
  new Option('--context <n>', "tokens of a text at most (default: the model's own, or what fits)").argParser(
    numberFor(LOAD_CHECKS.context),
  );

export const maxMemoryOption = (): Option =>
  new Option('--max-memory <size>', 'memory for the model, as in 8GB or 12GiB (default: 90% of what is left)').argParser(bytes); // prettier-ignore

/** What `load` takes of the options of a command. */
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

export function addSamplingOptions(command: Command): Command {
  return (
    command
      .option('--max-tokens <n>', 'new tokens at most', whole)
      .option('--temperature <x>', '0 is greedy', numberFor(SAMPLING_CHECKS.temperature))
      .option('--top-k <n>', 'keep the n most likely tokens; 0 is off', numberFor(SAMPLING_CHECKS.topK))
      .option('--top-p <x>', 'keep the most likely tokens up to this mass; 1 is off', numberFor(SAMPLING_CHECKS.topP))
      .option('--min-p <x>', 'keep tokens this likely relative to the first; 0 is off', numberFor(SAMPLING_CHECKS.minP))
      .option(
        '--typical-p <x>',
        'keep the most typical tokens up to this mass; 1 is off',
        numberFor(SAMPLING_CHECKS.typicalP),
      )
      .option(
        '--repetition-penalty <x>',
        'against tokens seen before, multiplied; 1 is off',
        numberFor(SAMPLING_CHECKS.repetitionPenalty),
      )
      .option(
        '--presence-penalty <x>',
        'against tokens seen before, subtracted; 0 is off',
        numberFor(SAMPLING_CHECKS.presencePenalty),
      )
      .option(
        '--frequency-penalty <x>',
        'the same, for each time seen; 0 is off',
        numberFor(SAMPLING_CHECKS.frequencyPenalty),
      )
      // Not the opposite of an option `--repeat-ngram-size`, as commander takes it.
      .addOption(
        Object.assign(new Option('--no-repeat-ngram-size <n>', 'no run of n tokens twice; 0 is off'), {
          negate: false,
        }).argParser(numberFor(SAMPLING_CHECKS.noRepeatNgramSize)),
      )
      .option('--seed <n>', 'same seed, same tokens', numberFor(SAMPLING_CHECKS.seed))
      .option('--stop <text>', 'ends the answer; may be given several times', (value, all?: string[]) => [
        ...(all ?? []),
        value,
      ])
      .option('--ignore-eos', "go on after the model's end of text")
  );
}

/** What `generate` takes of the options of a command. */
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

/** Reads a number that passes the check of the option that it is for. */
export const numberFor =
  ({ words, holds }: Check) =>
  (value: string): number => {
    const parsed = Number(value);
    if (value.trim() === '' || !holds(parsed)) throw new InvalidArgumentError(`Expected ${words}.`);
    return parsed;
  };

export const number = numberFor({ words: 'a number', holds: Number.isFinite });
export const whole = numberFor(wholeFrom(0));
export const positive = numberFor(wholeFrom(1));

function bytes(value: string): number {
  const parsed = parseBytes(value);
  if (parsed === undefined || !LOAD_CHECKS.maxMemory.holds(parsed))
    throw new InvalidArgumentError('Expected a size as in 8GB, 1.5GiB or 500MB.');
  return parsed;
}
