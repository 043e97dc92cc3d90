import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { GgufValue } from '../../src/loader/gguf/metadata-values.ts';
import { Metadata } from '../../src/loader/gguf/metadata.ts';
import { PRE_TOKENIZERS } from '../../src/loader/gguf/pre-tokenizers.ts';
import { ggufTokenizer } from '../../src/loader/gguf/gguf-tokenizer.ts';
import { Tokenizer } from '../../src/tokenizer/tokenizer.ts';

interface TokenizerJson {
  model: { vocab: Record<string, number>; merges: [string, string][] };
  added_tokens: { id: number; content: string; special: boolean }[];
  pre_tokenizer: unknown;
  normalizer: unknown;
  decoder: unknown;
}

interface Cases {
  bos_token_id: number | null;
  encode: { text: string; ids: number[]; decoded: string }[];
}

const readJson = (path: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/tokenizers/${path}`, import.meta.url), 'utf8'));

/** The metadata that llama.cpp's conversion writes for a tokenizer.json. */
function metadataOf(json: TokenizerJson, bos: number | null, more: Record<string, GgufValue>): Metadata {
  const tokens: string[] = [];
  const types: number[] = [];
  for (const [token, id] of Object.entries(json.model.vocab)) {
    tokens[id] = token;
    types[id] = /^<0x[0-9A-F]{2}>$/.test(token) ? 6 : 1;
  }
  for (const { id, content, special } of json.added_tokens) {
    tokens[id] = content;
    types[id] = content === '<unk>' ? 2 : special ? 3 : 4;
  }
  const scores = tokens.map(() => -1e6);
  for (const [rank, pair] of json.model.merges.entries()) {
    const id = json.model.vocab[pair.join('')];
    scores[id] = Math.max(scores[id], -rank);
  }
  return new Metadata(
    'test.gguf',
    new Map<string, GgufValue>([
      ['general.architecture', 'llama'],
      ['tokenizer.ggml.tokens', tokens],
      ['tokenizer.ggml.token_type', types],
      ['tokenizer.ggml.scores', scores],
      ['tokenizer.ggml.merges', json.model.merges.map((pair) => pair.join(' '))],
      ...(bos === null ? [] : [['tokenizer.ggml.bos_token_id', bos] as const]),
      ...Object.entries(more).map(([key, value]) => [`tokenizer.ggml.${key}`, value] as const),
    ]),
  );
}

test.each([
  ['smollm2', { model: 'gpt2', pre: 'smollm', add_bos_token: false }],
  ['bpe_smol', { model: 'gpt2', pre: 'smollm' }],
  ['bpe_chatml', { model: 'gpt2', pre: 'qwen2' }],
  ['bpe_llama3', { model: 'gpt2', pre: 'llama-bpe' }],
  ['bpe_deepseek', { model: 'gpt2', pre: 'deepseek-v3' }],
  ['metaspace_llama2', { model: 'llama' }],
])('restores the tokenizer %s from its metadata', (name, more) => {
  const original = readJson(`${name}/tokenizer.json`) as TokenizerJson;
  const { encode, bos_token_id } = readJson(`${name}/cases.json`) as Cases;
  const files = ggufTokenizer(metadataOf(original, bos_token_id, more))!;
  const built = files.tokenizer as unknown as TokenizerJson;

  expect(built.pre_tokenizer).toEqual(original.pre_tokenizer);
  expect(built.normalizer).toEqual(original.normalizer);
  expect(built.decoder).toEqual(original.decoder);
  expect(built.added_tokens).toEqual(original.added_tokens);
  // Not toEqual, which takes seconds for 50,000 items.
  expect(Object.entries(original.model.vocab).find(([token, id]) => built.model.vocab[token] !== id)).toBeUndefined();
  const isOther = (pair: [string, string], i: number) => pair.join(' ') !== built.model.merges[i]?.join(' ');
  if (more.model === 'gpt2') {
    expect(original.model.merges.find(isOther)).toBeUndefined();
    expect(built.model.merges).toHaveLength(original.model.merges.length);
  }

  const tokenizer = new Tokenizer(files);
  for (const { text, ids, decoded } of encode) {
    expect(tokenizer.encode(text), text).toEqual(ids);
    expect(tokenizer.decode(ids), text).toBe(decoded);
  }
});

const small = (more: Record<string, GgufValue>) =>
  new Metadata('test.gguf', new Map(Object.entries({ 'general.architecture': 'llama', ...more })));
const tokens = { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.tokens': ['a', 'b'] };

test.each<[string, Record<string, GgufValue>, RegExp]>([
  [
    'an unknown pre-tokenizer',
    { ...tokens, 'tokenizer.ggml.pre': 'new' },
    /expected one of .*smollm.*qwen2.*, got "new"/,
  ],
  ['an unknown model', { ...tokens, 'tokenizer.ggml.model': 't5' }, /gpt2 or llama, got "t5"/],
  [
    'a merge of unknown tokens',
    { ...tokens, 'tokenizer.ggml.merges': ['a b'] },
    /two tokens that join to a third, got "a b"/,
  ],
  [
    'a token twice',
    { ...tokens, 'tokenizer.ggml.tokens': ['a', 'a'] },
    /expected different tokens, got "a" as 0 and as 1/,
  ],
  [
    'types for other tokens',
    { ...tokens, 'tokenizer.ggml.token_type': [1] },
    /expected 2 entries, one for each token, got 1/,
  ],
  ['no token list', { 'tokenizer.ggml.model': 'gpt2' }, /tokens.*there is none/],
  [
    'a byte token that names no byte',
    {
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.tokens': ['<0x-1>'],
      'tokenizer.ggml.token_type': [6],
      'tokenizer.ggml.scores': [0],
    },
    /"<0x-1>"/,
  ],
  [
    'a special id beyond the tokens',
    { ...tokens, 'tokenizer.ggml.merges': [], 'tokenizer.ggml.eos_token_id': 2 },
    /eos_token_id.*expected an id below 2, the number of tokens, got 2/,
  ],
])('refuses %s', (_, more, message) => {
  expect(() => ggufTokenizer(small(more))).toThrow(message);
});

test('leaves out tokens that fill gaps, keeps unused ones, and marks only control and unknown tokens as special', () => {
  const files = ggufTokenizer(
    small({
      'tokenizer.ggml.model': 'gpt2',
      'tokenizer.ggml.tokens': ['a', 'b', '[PAD2]', '[PAD2]x', '<|im_end|>', '<tool>', '<unk>'],
      'tokenizer.ggml.token_type': [1, 1, 5, 5, 3, 4, 2],
      'tokenizer.ggml.merges': [],
    }),
  )!;
  const { model, added_tokens } = files.tokenizer as unknown as TokenizerJson;
  expect(model.vocab).toEqual({ a: 0, b: 1, '[PAD2]x': 3, '<|im_end|>': 4, '<tool>': 5, '<unk>': 6 });
  expect(added_tokens.map(({ id, special }) => [id, special])).toEqual([
    [4, true],
    [5, false],
    [6, true],
  ]);
});

test.each<[string, string[]]>([
  ['too many merges', ['a', 'b'].flatMap((first) => words(first, 15))],
  ['long tokens', Array.from({ length: 5_000 }, (_, i) => `${i}`.padStart(120, 'q'))],
])('refuses a vocabulary with %s before all merges are computed', (_, tokens) => {
  const scores = tokens.map(() => -1);
  expect(() =>
    ggufTokenizer(
      small({ 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.scores': scores }),
    ),
  ).toThrow(/no more merges than published vocabularies/);
});

/** All words of a and b of up to `length` letters that begin with `first`. */
function words(first: string, length: number): string[] {
  if (first.length === length) return [first];
  return [first, ...words(`${first}a`, length), ...words(`${first}b`, length)];
}

test.each([...PRE_TOKENIZERS.keys()])('the pre-tokenizer %s gives a tokenizer without loss', (pre) => {
  const original = readJson('bpe_chatml/tokenizer.json') as TokenizerJson;
  const tokenizer = new Tokenizer(ggufTokenizer(metadataOf(original, null, { model: 'gpt2', pre }))!);
  const text = "Ώρα, it's 1234 o'clock! 日本\n";
  expect(tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: false }))).toBe(text);
});
