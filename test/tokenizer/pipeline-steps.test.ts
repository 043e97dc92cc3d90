import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StepBuilder } from '../../src/tokenizer/step-builder.ts';
import { createDecoder } from '../../src/tokenizer/decoders/token-decoder.ts';
import { TokenizerError } from '../../src/tokenizer/json-fields.ts';
import { createNormalizer } from '../../src/tokenizer/normalizers/normalizer.ts';
import { createPreTokenizer } from '../../src/tokenizer/pre-tokenizers/pre-tokenizer.ts';
import { Tokenizer } from '../../src/tokenizer/tokenizer.ts';

type Json = Record<string, unknown>;
/** The result of the reference implementation, or its error. */
type Given<T> = T | { readonly error: string };
type Row = readonly [ids: number[], bare: number[], decoded: string, withoutSpecial: string];
interface Folder {
  readonly eos: number | null;
  readonly bos: number | null;
  readonly pad: number | null;
  readonly size: number;
  readonly special: number[];
  readonly rows: (readonly [ids: number[], decoded: string, withoutSpecial: string])[];
}

// Made by test/fixtures/tokenizer-steps/make.py with tokenizers 0.23.3 and transformers 5.24.0.
const cases = JSON.parse(readFileSync(new URL('../fixtures/tokenizer-steps/cases.json', import.meta.url), 'utf8')) as {
  readonly texts: string[];
  readonly tokens: string[][];
  readonly folderTokenizer: Json;
  readonly folderTexts: string[];
  readonly preTokenizers: [Json, Given<string[][]>][];
  readonly normalizers: [Json, Given<string[]>][];
  readonly decoders: [Json, Given<Given<string>[]>][];
  readonly tokenizers: [Json, Given<Row>[]][];
  readonly folders: [{ config?: Json; special_tokens_map?: Json; added_tokens?: Json }, Folder][];
};

const isError = (given: unknown): given is { readonly error: string } =>
  typeof given === 'object' && given !== null && 'error' in given;
const named = <T>(list: readonly [Json, T][]) =>
  list.map(([config, given]) => [JSON.stringify(config).slice(0, 150), config, given] as const);

describe('pre-tokenizers', () => {
  it.each(named(cases.preTokenizers))('split as in the Rust crate: %s', (_, config, given) => {
    const split = () => {
      const step = createPreTokenizer(config, new StepBuilder());
      return cases.texts.map((text) => step(text, true, text.length).filter((piece) => piece !== ''));
    };
    if (isError(given)) expect(split).toThrow(TokenizerError);
    else expect(split()).toEqual(given.map((pieces) => pieces.filter((piece) => piece !== '')));
  });
});

describe('normalizers', () => {
  it.each(named(cases.normalizers))('normalise as in the Rust crate: %s', (_, config, given) => {
    const normalise = () => {
      const step = createNormalizer(config, new StepBuilder());
      return cases.texts.map((text) => step(text, text.length));
    };
    if (isError(given)) expect(normalise).toThrow(TokenizerError);
    else expect(normalise()).toEqual(given);
  });
});

describe('decoders', () => {
  it.each(named(cases.decoders))('decode as in the Rust crate: %s', (_, config, given) => {
    const create = () => createDecoder(config, new StepBuilder());
    if (isError(given)) {
      expect(create).toThrow(TokenizerError);
      return;
    }
    const decode = create();
    // The crate panics when there is nothing to decode or to strip.
    const decoded = cases.tokens.map((tokens, i) => (isError(given[i]) ? given[i] : decode(tokens)));
    expect(decoded).toEqual(given);
  });
});

describe('tokenizers', () => {
  it.each(named(cases.tokenizers))('encode and decode as in the Rust crate: %s', (_, tokenizer, given) => {
    const made = new Tokenizer({ tokenizer, config: {}, chatTemplate: undefined });
    for (const [i, text] of cases.texts.entries()) {
      const row = given[i];
      if (isError(row)) expect(() => made.encode(text)).toThrow(TokenizerError);
      else {
        expect([text, made.encode(text)]).toEqual([text, row[0]]);
        expect([text, made.encode(text, { addSpecialTokens: false })]).toEqual([text, row[1]]);
        expect(made.decode(row[0])).toBe(row[2]);
        expect(made.decode(row[0], { skipSpecialTokens: true })).toBe(row[3]);
      }
    }
  });
});

describe('added and special tokens', () => {
  it.each(named(cases.folders))('are those of transformers: %s', (_, files, given) => {
    const tokenizer = new Tokenizer({
      tokenizer: cases.folderTokenizer,
      config: {},
      ...Object.fromEntries(
        Object.entries(files).map(([name, json]) => [
          { config: 'config', special_tokens_map: 'specialTokensMap', added_tokens: 'addedTokens' }[name]!,
          json,
        ]),
      ),
      chatTemplate: undefined,
    });
    expect(tokenizer.eosId ?? null).toBe(given.eos);
    expect(tokenizer.bosId ?? null).toBe(given.bos);
    expect(tokenizer.padId ?? null).toBe(given.pad);
    expect(tokenizer.vocabSize).toBe(given.size);
    expect(Array.from(tokenizer.specialIds).sort((a, b) => a - b)).toEqual(given.special);
    for (const [i, text] of cases.folderTexts.entries()) {
      const [ids, decoded, withoutSpecial] = given.rows[i];
      expect([text, tokenizer.encode(text, { addSpecialTokens: false })]).toEqual([text, ids]);
      expect(tokenizer.decode(ids)).toBe(decoded);
      expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(withoutSpecial);
    }
  });
});
