import type { KvCache } from '../model/cache.ts';
import { checkSamplingOptions, type SamplingOptions } from '../model/sampling/options.ts';
import { fields, atLeastZero } from '../model/fields.ts';
import { VitrineError } from '../tensor/errors.ts';
import type { Hooks } from '../inspect/recorder.ts';
import type { Json } from '../json.ts';

/** How to generate. Defaults come from the model's generation_config.json; without one, greedy. */
export interface GenerateOptions extends SamplingOptions, Hooks {
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

/** Names of generation_config.json for our options. */
const CONFIG_NAMES = {
  temperature: 'temperature',
  topK: 'top_k',
  topP: 'top_p',
  minP: 'min_p',
  typicalP: 'typical_p',
  repetitionPenalty: 'repetition_penalty',
  noRepeatNgramSize: 'no_repeat_ngram_size',
} as const;

/**
 * Fills in what `options` leaves open, from generation_config.json.
 * Where generation_config.json does not ask for sampling (`do_sample`), the default temperature is 0: greedy.
 *
 * @throws SamplingOptionError, VitrineError for a value out of range.
 */
export function resolveOptions(
  options: GenerateOptions,
  {
    generationConfig = {},
    vocabSize,
    ends,
  }: {
    generationConfig?: Json | undefined;
    vocabSize: number;
    /** Ids that end a text: see `endIds`. */
    ends: readonly number[];
  },
): ResolvedOptions {
  const sampling = { ...samplingDefaults(generationConfig), ...definedOnly(options) };
  checkSamplingOptions(sampling, vocabSize);
  const maxTokens =
    options.maxTokens ?? fields(generationConfig).integer('max_new_tokens', atLeastZero) ?? DEFAULT_MAX_TOKENS;
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 0)
    throw new VitrineError(`generate: maxTokens must be a whole number from 0, got ${maxTokens}.`);
  const { logprobs = 0 } = options;
  if (!Number.isSafeInteger(logprobs) || logprobs < 0)
    throw new VitrineError(`generate: logprobs must be a whole number from 0, got ${logprobs}.`);
  const stop = [options.stop ?? []].flat();
  if (stop.includes('')) throw new VitrineError('generate: a stop string must not be empty.');
  const eos = options.ignoreEos ? [] : ends;
  return {
    sampling,
    maxTokens,
    stopIds: new Set([...eos, ...stop.filter((item) => typeof item === 'number')]),
    stopStrings: stop.filter((item) => typeof item === 'string'),
    logprobs,
  };
}

function samplingDefaults(generationConfig: Json): SamplingOptions {
  const entries = Object.entries(CONFIG_NAMES).map(([ours, theirs]) => [ours, generationConfig[theirs] ?? undefined]);
  const defaults = Object.fromEntries(entries) as Record<string, number | undefined>;
  return generationConfig.do_sample === true ? defaults : { ...defaults, temperature: 0 };
}

/** Sampling options that were given a value. */
function definedOnly(options: SamplingOptions): SamplingOptions {
  const names = [...Object.keys(CONFIG_NAMES), 'presencePenalty', 'frequencyPenalty', 'logitBias', 'seed'] as const;
  const given = names.map((name) => [name, options[name as keyof SamplingOptions]] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
