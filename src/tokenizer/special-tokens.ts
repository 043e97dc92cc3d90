import { Fields, isTokenId, showValue, TokenizerError } from './json-fields.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';
import { checkToken } from './size-limits.ts';
import { isObject, type Json } from '../json.ts';
import type { AddedToken } from './added-tokens.ts';

/** An added token of the files, before it has an id. */
export type NewToken = Omit<AddedToken, 'id'>;

/** The tokens that a tokenizer's files add to the vocabulary. */
export interface SpecialTokens {
  /** `added_tokens` of tokenizer.json. */
  readonly fromTokenizer: readonly NewToken[];
  /** Tokens that the other files add or change. The new ones get their ids in this order. */
  readonly fromConfig: readonly NewToken[];
  /** Spellings of named tokens, by the names that templates use: `bos_token`, `eos_token` ... */
  readonly named: ReadonlyMap<string, string>;
}

const NAMES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

/**
 * Collects the added tokens in the order of transformers 5 (`PreTrainedTokenizerBase._from_pretrained` and
 * `TokenizersBackend.__init__`):
 *
 * 1. `added_tokens` of tokenizer.json. Their matching rules are final (in transformers, 2. can change them; in the Rust
 *    crate alone it cannot).
 * 2. `added_tokens_decoder` of tokenizer_config.json, ordered by its ids, which have no other use. Without it, the tokens of
 *    special_tokens_map.json, whose names override those of the configuration, and added_tokens.json.
 * 3. The named tokens: `eos_token` and the like, and any other `NAME_token`.
 * 4. `extra_special_tokens`, or else `additional_special_tokens`.
 *
 * In 3. and 4., a token whose spelling is already known is not added again.
 *
 * @throws {TokenizerError} when a file is malformed.
 */
export function specialTokens(files: TokenizerFiles): SpecialTokens {
  const { config } = files;
  const decoder = config.added_tokens_decoder ?? undefined;
  if (decoder !== undefined && !isObject(decoder)) {
    throw new TokenizerError(`${CONFIG}: expected added_tokens_decoder to be an object, got ${showValue(decoder)}`);
  }
  const { named, extra } = namedTokens(config, decoder ? {} : (files.specialTokensMap ?? {}));
  const names = new Set(Array.from(named.values(), ({ content }) => content));
  const tokenizerTokens = addedTokens(files.tokenizer);
  const fromTokenizer = tokenizerTokens.map(([, token]) => token);
  const fromConfig: NewToken[] = [];
  const known = new Map(fromTokenizer.map((token) => [token.content, token]));
  const add = (token: NewToken) => {
    // A named token is special, even if its object says otherwise.
    const listed = names.has(token.content) ? { ...token, special: true } : token;
    fromConfig.push(listed);
    known.set(token.content, listed);
  };

  const taken = new Set(tokenizerTokens.map(([id]) => id));
  const listed = decoder
    ? decoderTokens(decoder)
    : legacyTokens(files.addedTokens ?? {}, [...named.values(), ...extra]).filter(([id]) => !taken.has(id));
  for (const [, token] of listed.sort(([a], [b]) => a - b)) {
    const before = known.get(token.content);
    if (!before) add(token);
    else if (token.special && !before.special) add({ ...before, special: true });
  }
  for (const token of [...named.values(), ...extra]) if (!known.has(token.content)) add(token);
  return { fromTokenizer, fromConfig, named: new Map(Array.from(named, ([name, { content }]) => [name, content])) };
}

const CONFIG = 'tokenizer_config.json';
const MAP = 'special_tokens_map.json';

type TokenWithId = readonly [id: number, token: NewToken];

function decoderTokens(decoder: Json): TokenWithId[] {
  return Object.entries(decoder).map(([key, token]) => [
    idFromKey(key),
    readToken(`${CONFIG}: added_tokens_decoder["${key.slice(0, 20)}"]`, token),
  ]);
}

/** The id that a key of `added_tokens_decoder` spells. */
function idFromKey(key: string): number {
  const id = /^\d{1,9}$/.test(key) ? Number(key) : undefined;
  if (isTokenId(id)) return id;
  throw new TokenizerError(
    `${CONFIG}: expected the keys of added_tokens_decoder to be token ids, got ${showValue(key)}`,
  );
}

/** The field `added_tokens` of tokenizer.json. The ids that it names are checked and ignored, as in the Rust crate. */
function addedTokens(tokenizer: Json): TokenWithId[] {
  const tokens = tokenizer.added_tokens ?? [];
  if (!Array.isArray(tokens)) throw new TokenizerError('tokenizer.json: expected added_tokens to be a list');
  return Array.from(tokens as unknown[], (token, i) => {
    const path = `tokenizer.json: added_tokens[${i}]`;
    const read = readToken(path, token);
    const { id } = token as Json;
    if (!isTokenId(id)) throw new TokenizerError(`${path}: expected id to be a token id, got ${showValue(id)}`);
    return [id, read];
  });
}

/** Named tokens, and special tokens without a name. Those of special_tokens_map.json override those of the configuration. */
function namedTokens(config: Json, map: Json): { named: ReadonlyMap<string, NewToken>; extra: readonly NewToken[] } {
  const fields: Json = { ...config, ...map };
  const path = (name: string) => `${Object.hasOwn(map, name) ? MAP : CONFIG}: ${name}`;
  const named = new Map<string, NewToken>();
  for (const name of NAMES) {
    const value = fields[name] ?? undefined;
    if (value !== undefined) named.set(name, readSpecial(path(name), value));
  }
  for (const [name, value] of Object.entries(fields)) {
    // The names of settings may end in _token too: add_bos_token.
    const isToken = typeof value === 'string' || (isObject(value) && typeof value.content === 'string');
    if (name.endsWith('_token') && isToken && !named.has(name)) named.set(name, readSpecial(path(name), value));
  }
  const extra: NewToken[] = [];
  for (const [name, value] of extraTokens(config, map)) {
    if (Array.isArray(value)) {
      value.forEach((token, i) => extra.push(readSpecial(`${path(name)}[${i}]`, token)));
    } else if (isObject(value)) {
      for (const [key, token] of Object.entries(value)) named.set(key, readSpecial(`${path(name)}.${key}`, token));
    } else {
      throw new TokenizerError(`${path(name)}: expected a list or an object of tokens, got ${showValue(value)}`);
    }
  }
  return { named, extra };
}

/** The fields `extra_special_tokens`, called `additional_special_tokens` in older files, that are not empty. */
function extraTokens(config: Json, map: Json): (readonly [string, unknown])[] {
  const [extra, additional] = ['extra_special_tokens', 'additional_special_tokens'];
  const ofConfig = isEmpty(config[extra]) ? additional : extra;
  const found = [[ofConfig, config[ofConfig]] as const, [extra, map[extra]] as const].filter(
    ([, value]) => !isEmpty(value),
  );
  return found.some(([, value]) => Array.isArray(value)) || isEmpty(map[additional])
    ? found
    : [...found, [additional, map[additional]]];
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

/** The tokens of added_tokens.json: `{ token: id }`. */
function legacyTokens(json: Json, special: readonly NewToken[]): TokenWithId[] {
  const spellings = new Set(special.map(({ content }) => content));
  return Object.entries(json).map(([content, id]) => {
    if (!isTokenId(id)) {
      throw new TokenizerError(
        `added_tokens.json: expected the id of ${showValue(content)} to be a token id, got ${showValue(id)}`,
      );
    }
    checkToken('added_tokens.json', content);
    const isSpecial = spellings.has(content);
    return [id, { ...PLAIN, content, special: isSpecial, normalized: !isSpecial }] as const;
  });
}

const PLAIN = { single_word: false, lstrip: false, rstrip: false };

/** A token given as its spelling or as an object, which is special unless the object says otherwise. */
function readSpecial(path: string, value: unknown): NewToken {
  if (typeof value !== 'string') return readToken(path, value, true);
  checkToken(path, value);
  return { ...PLAIN, content: value, special: true, normalized: false };
}

function readToken(path: string, value: unknown, special = false): NewToken {
  const fields = new Fields(path, value);
  const content = fields.string('content');
  checkToken(path, content);
  const isSpecial = fields.boolean('special', special);
  return {
    content,
    special: isSpecial,
    normalized: fields.boolean('normalized', !isSpecial),
    single_word: fields.boolean('single_word', false),
    lstrip: fields.boolean('lstrip', false),
    rstrip: fields.boolean('rstrip', false),
  };
}
