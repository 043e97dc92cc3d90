import { describe, expect, it } from 'vitest';
import { type GenerateOptions, resolveOptions } from '../../../src/engine/generate/generate-options.ts';
import { ConfigError } from '../../../src/model/config/config-error.ts';

const resolved = (generationConfig: object, options: GenerateOptions = {}) =>
  resolveOptions(options, {
    source: 'models/it',
    ends: [],
    generationConfig: generationConfig as Readonly<Record<string, unknown>>,
    vocabSize: 100,
  });

describe('values of generation_config.json', () => {
  // What `GenerationMixin._get_logits_processor` of transformers 5 leaves out, and vLLM's -1 for top_k.
  it.each<[object]>([
    [{ top_k: -1 }],
    [{ top_k: 0 }],
    [{ top_k: null }],
    [{ top_p: 1 }],
    [{ top_p: 1.5 }],
    [{ min_p: null }],
    [{ min_p: 0 }],
    [{ typical_p: 1 }],
    [{ typical_p: 2 }],
    [{ repetition_penalty: 1 }],
    [{ no_repeat_ngram_size: 0 }],
    [{ no_repeat_ngram_size: -1 }],
    [{ max_new_tokens: null }],
  ])('%j is off', (fields) => {
    const { sampling, maxTokens } = resolved({ do_sample: true, ...fields });
    const isOff = { topK: 0, topP: 1, minP: 0, typicalP: 1, repetitionPenalty: 1, noRepeatNgramSize: 0 };
    expect({
      ...isOff,
      ...Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined)),
    }).toEqual(isOff);
    expect(maxTokens).toBe(512);
  });

  it.each<[object, GenerateOptions, string]>([
    [{ top_k: -2 }, { topK: 3 }, 'top_k must be a whole number from 0, got -2'],
    [{ top_k: '50' }, { topK: 3 }, 'top_k must be a whole number from 0, got "50"'],
    [{ top_k: 1.5 }, { topK: 3 }, 'top_k must be'],
    [{ top_p: -0.1 }, { topP: 1 }, 'top_p must be'],
    [{ top_p: NaN }, { topP: 1 }, 'top_p must be a number from 0 to 1, got NaN'],
    [{ min_p: 2 }, { minP: 0 }, 'min_p must be'],
    [{ typical_p: 0 }, { typicalP: 1 }, 'typical_p must be'],
    [{ temperature: -1 }, { temperature: 1 }, 'temperature must be'],
    [{ temperature: '0.7' }, { temperature: 1 }, 'temperature must be a finite number, 0 or above, got "0.7"'],
    [{ repetition_penalty: 0 }, { repetitionPenalty: 1 }, 'repetition_penalty must be'],
    [
      { repetition_penalty: [1] },
      { repetitionPenalty: 1 },
      'repetition_penalty must be a finite number above 0, got [1]',
    ],
    [{ no_repeat_ngram_size: true }, { noRepeatNgramSize: 0 }, 'no_repeat_ngram_size must be'],
    [{ max_new_tokens: 0 }, { maxTokens: 5 }, 'max_new_tokens must be a whole number from 1, got 0'],
    [{ max_new_tokens: -1 }, { maxTokens: 5 }, 'max_new_tokens must be'],
    [{ max_new_tokens: '100' }, { maxTokens: 5 }, 'max_new_tokens must be'],
  ])('%j is refused by file and field where it is used', (fields, instead, message) => {
    const use = () => resolved({ do_sample: true, ...fields });
    expect(use).toThrow(ConfigError);
    expect(use).toThrow(`models/it: generation_config.json: ${message}`);
    expect(use).toThrow(`or give ${Object.keys(instead)[0]} yourself.`);
    expect(() => resolved({ do_sample: true, ...fields }, instead)).not.toThrow();
  });

  it.each([{ top_k: -5 }, { top_p: 'x' }, { min_p: 9 }, { typical_p: 0 }, { temperature: 'hot' }])(
    '%j does not matter where the most likely token is taken',
    (fields) => {
      expect(resolved({ do_sample: false, ...fields }).sampling.temperature).toBe(0);
      expect(resolved({ ...fields }, { temperature: 0 }).sampling.temperature).toBe(0);
    },
  );

  it('a temperature of 0 takes the most likely token, as in vLLM', () => {
    expect(resolved({ do_sample: true, temperature: 0, top_k: -9 }).sampling).toMatchObject({ temperature: 0 });
  });

  it('are overridden by options, one by one', () => {
    const file = {
      do_sample: true,
      temperature: 0.7,
      top_k: 20,
      top_p: 0.8,
      repetition_penalty: 1.1,
      max_new_tokens: 9,
    };
    const { sampling, maxTokens } = resolved(file, { topK: 0, seed: 3 });
    expect(maxTokens).toBe(9);
    expect(sampling).toMatchObject({ temperature: 0.7, topK: 0, topP: 0.8, repetitionPenalty: 1.1, seed: 3 });
  });
});

describe('what ends a text', () => {
  const ending = (options: GenerateOptions) => {
    const { stopIds, stopStrings } = resolveOptions(options, { ends: [7, 9], vocabSize: 100 });
    return { ids: [...stopIds], strings: [...stopStrings] };
  };

  it.each<[GenerateOptions, number[], string[]]>([
    [{}, [7, 9], []],
    [{ stop: 'END' }, [7, 9], ['END']],
    [{ stop: 3 }, [7, 9, 3], []],
    [{ stop: ['a', 0, 'b', 99] }, [7, 9, 0, 99], ['a', 'b']],
    [{ stop: [] }, [7, 9], []],
    [{ stop: [9, 'x'], ignoreEos: true }, [9], ['x']],
    [{ ignoreEos: true }, [], []],
  ])('%j', (options, ids, strings) => {
    expect(ending(options)).toEqual({ ids, strings });
  });

  it.each([-1, 100, 1.5, '', null, ['a', ''], [3, -1]])('%j is refused as a stop', (stop) => {
    expect(() => ending({ stop: stop as string })).toThrow(
      /^generate: stop must be stop strings of at least one character, or token ids from 0 to 99: .* got/,
    );
  });
});

describe('numbers of options', () => {
  it('are the most that may be asked for, and no more', () => {
    expect(resolved({}, { logprobs: 100, maxTokens: 0 })).toMatchObject({ logprobs: 100, maxTokens: 0 });
    expect(() => resolved({}, { logprobs: 101 })).toThrow(/logprobs must be a whole number from 0 to 100, got 101/);
    expect(() => resolved({}, { maxTokens: -1 })).toThrow(/maxTokens must be a whole number from 0, got -1/);
  });

  it('without any, greedy and 512 tokens', () => {
    expect(resolved({})).toMatchObject({ maxTokens: 512, logprobs: 0, sampling: { temperature: 0 } });
  });

  it('a value of generation_config.json at its bound is used', () => {
    const fields = { do_sample: true, temperature: 0.5, top_k: 1, top_p: 0.9, min_p: 0.1, typical_p: 0.8 };
    expect(resolved({ ...fields, repetition_penalty: 1.3, no_repeat_ngram_size: 2, max_new_tokens: 1 })).toMatchObject({
      sampling: {
        temperature: 0.5,
        topK: 1,
        topP: 0.9,
        minP: 0.1,
        typicalP: 0.8,
        repetitionPenalty: 1.3,
        noRepeatNgramSize: 2,
      },
      maxTokens: 1,
    });
  });

  it('penalties of the file act without sampling too, since they change the most likely token', () => {
    const { sampling } = resolved({ do_sample: false, top_k: 5, repetition_penalty: 1.3, no_repeat_ngram_size: 2 });
    expect(sampling).toMatchObject({ temperature: 0, repetitionPenalty: 1.3, noRepeatNgramSize: 2 });
    expect(sampling.topK).toBeUndefined();
  });
});
