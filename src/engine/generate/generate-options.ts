import type { Hooks } from '../../hooks/observers.ts';
import type { Json } from '../../json.ts';
import { KvCache } from '../../model/cache/kv-cache.ts';
import { ConfigError } from '../../model/config/config-error.ts';
import { SAMPLING_CHECKS, type SamplingOptions, samplingChecks } from '../../sampling/sampling-options.ts';
import type { Compute } from '../../tensor/compute.ts';
import {
  type Check,
  type Checks,
  checkOptions,
  FLAG,
  instanceOf,
  isRecord,
  oneOf,
  show,
  SIGNAL,
  TEXTS,
  whole,
} from '../../options.ts';

/** How to generate. Defaults come from the model's generation_config.json; without one, greedy. */
export interface GenerateOptions<Captured extends string = string, Edited extends string = string>
  extends SamplingOptions, Hooks<Captured, Edited> {
  /** New tokens at most. Default: `max_new_tokens` of generation_config.json, else 512. */
  readonly maxTokens?: number | undefined;
  /** Strings and token ids that end the text, besides the model's own; they are not part of it. */
  readonly stop?: string | number | readonly (string | number)[] | undefined;
  /** Goes on after the model's end-of-text tokens. Default false. */
  readonly ignoreEos?: boolean | undefined;
  /** Log-probabilities of this many most likely tokens with every token. Default 0. */
  readonly logprobs?: number | undefined;
  /** A cache to go on from, which then holds the prompt and all but the last new token. Default: one of its own. */
  readonly cache?: KvCache | undefined;
  /** The dtype to which operands of matrix products are rounded. Default: the fastest, see `LoadOptions.compute`. */
  readonly compute?: Compute | undefined;
  /** Ends generation with the signal's reason, between layers. */
  readonly signal?: AbortSignal | undefined;
}

/** Options with every default filled in. */
export interface ResolvedOptions {
  readonly sampling: SamplingOptions;
  readonly maxTokens: number;
  readonly stopIds: ReadonlySet<number>;
  readonly stopStrings: readonly string[];
  readonly logprobs: number;
}

const DEFAULT_MAX_TOKENS = 512;

/** The requirement on `cache`. */
export const CACHE: Check = instanceOf(KvCache, 'a KvCache of newCache()');

/** The requirement on `compute`. */
export const COMPUTE = oneOf('f32', 'bf16');

/** The requirements on the options of `Hooks`. */
export const HOOK_CHECKS: Checks<Hooks> = {
  capture: TEXTS,
  edit: {
    words: 'an object of functions by hook name',
    holds: (value) => isRecord(value) && Object.values(value).every((edit) => typeof edit === 'function'),
  },
  statistics: TEXTS,
  health: TEXTS,
  budget: whole(0),
};

/** The requirements on options that are single numbers, where the vocabulary is not known. */
export const TEXT_LIMITS = { maxTokens: whole(0), logprobs: whole(0) };

const generateChecks = (vocabSize: number): Checks<GenerateOptions> => {
  const { holds: isId } = whole(0, vocabSize - 1);
  const endsText = (item: unknown): boolean => isId(item) || (typeof item === 'string' && item !== '');
  return {
    ...samplingChecks(vocabSize),
    ...HOOK_CHECKS,
    ...TEXT_LIMITS,
    logprobs: whole(0, vocabSize),
    stop: {
      words: `stop strings of at least one character, or token ids from 0 to ${vocabSize - 1}: one of them or a list`,
      holds: (value) => (Array.isArray(value) ? Array.from(value).every(endsText) : endsText(value)),
    },
    ignoreEos: FLAG,
    cache: CACHE,
    compute: COMPUTE,
    signal: SIGNAL,
  };
};

/**
 * Our options in generation_config.json: what it calls them, and which further values there mean that one is off. As in
 * transformers, which leaves a step out for these, and vLLM, where `top_k` -1 is off.
 */
const FILE_FIELDS: readonly (readonly [keyof typeof SAMPLING_CHECKS, field: string, isOff: (x: number) => boolean])[] =
  [
    ['topK', 'top_k', (x) => x === -1],
    ['topP', 'top_p', (x) => x > 1],
    ['minP', 'min_p', () => false],
    ['typicalP', 'typical_p', (x) => x > 1],
    ['repetitionPenalty', 'repetition_penalty', () => false],
    ['noRepeatNgramSize', 'no_repeat_ngram_size', (x) => x < 0],
  ];
/** Options without effect where the most likely token is taken. */
const TRUNCATIONS: readonly string[] = ['topK', 'topP', 'minP', 'typicalP'];

/**
 * Fills in the options that were left out, from generation_config.json.
 * Where generation_config.json does not ask for sampling (`do_sample`), the default temperature is 0: greedy.
 *
 * @throws {OptionError} for an option out of range.
 * @throws {ConfigError} that names the file, for a value of generation_config.json that is used and out of range.
 */
export function resolveOptions(
  options: GenerateOptions,
  {
    source = '',
    generationConfig = {},
    vocabSize,
    ends,
  }: {
    /** The model's source, for messages. */
    source?: string;
    generationConfig?: Json | undefined;
    vocabSize: number;
    /** Ids that end a text: see `endIds`. */
    ends: readonly number[];
  },
): ResolvedOptions {
  checkOptions('generate', options, generateChecks(vocabSize));
  const file = readerOf(source, generationConfig);
  const { logprobs = 0 } = options;
  const stop = [options.stop ?? []].flat();
  const eos = options.ignoreEos ? [] : ends;
  return {
    sampling: samplingOf(options, generationConfig, file),
    maxTokens: options.maxTokens ?? file('maxTokens', 'max_new_tokens', whole(1)) ?? DEFAULT_MAX_TOKENS,
    stopIds: new Set([...eos, ...stop.filter((item) => typeof item === 'number')]),
    stopStrings: stop.filter((item) => typeof item === 'string'),
    logprobs,
  };
}

type FileReader = (option: string, field: string, check: Check) => number | undefined;

/** Reads numbers of generation_config.json, where Python writes null for what is absent. */
const readerOf =
  (source: string, generationConfig: Json): FileReader =>
  (option, field, check) => {
    const value = generationConfig[field] ?? undefined;
    if (value === undefined || check.holds(value)) return value as number | undefined;
    throw new ConfigError(
      `${source}: generation_config.json: ${field} must be ${check.words}, got ${show(value)}. ` +
        `Change the file, or give ${option} yourself.`,
    );
  };

/** The given options and, for the rest, those of the file; only the fields that are used have to be valid. */
function samplingOf(options: GenerateOptions, generationConfig: Json, file: FileReader): SamplingOptions {
  const { presencePenalty, frequencyPenalty, logitBias, seed } = options;
  const samples = generationConfig.do_sample === true;
  const temperature =
    options.temperature ?? (samples ? file('temperature', 'temperature', SAMPLING_CHECKS.temperature) : 0);
  const sampling: Partial<Record<keyof SamplingOptions, number>> = {};
  for (const [option, field, isOff] of FILE_FIELDS) {
    const given = options[option];
    if (given === undefined && temperature === 0 && TRUNCATIONS.includes(option)) continue;
    const { words, holds } = SAMPLING_CHECKS[option];
    const orOff = { words, holds: (x: unknown) => holds(x) || (typeof x === 'number' && isOff(x)) };
    const value = given ?? file(option, field, orOff);
    if (value !== undefined && !(given === undefined && isOff(value))) sampling[option] = value;
  }
  return { ...sampling, temperature, presencePenalty, frequencyPenalty, logitBias, seed };
}
