import type { Build } from '../step-builder.ts';
import { Fields, isTokenId, show, TokenizerError } from '../json-fields.ts';
import { checkToken, MAX_ENTRIES } from '../size-limits.ts';
import { isObject } from '../../json.ts';
import { Bpe } from './bpe.ts';
import { Unigram } from './unigram.ts';
import { wordLevel } from './word-level.ts';
import { wordPiece } from './word-piece.ts';

/** The vocabulary, and how a word of it is cut into tokens. */
export interface Model {
  readonly vocab: ReadonlyMap<string, number>;
  /** The token ids of a word. @throws {TokenizerError} where it needs an unknown token and the model has none. */
  encode(word: string): readonly number[];
}

/** The `model` of tokenizer.json. Older files do not name its type: it shows in the fields. */
export function createModel(config: unknown, build: Build): Model {
  const fields = new Fields('tokenizer.json: model', config);
  const type = fields.has('type') ? fields.string('type') : typeByFields(fields);
  switch (type) {
    case 'BPE':
      return new Bpe(fields, readVocab(fields));
    case 'Unigram':
      return new Unigram(fields, build);
    case 'WordLevel':
      return wordLevel(fields, readVocab(fields));
    case 'WordPiece':
      return wordPiece(fields, readVocab(fields), build);
    default:
      return fields.fail('type', 'BPE, Unigram, WordLevel or WordPiece');
  }
}

function typeByFields(fields: Fields): string {
  if (fields.has('merges')) return 'BPE';
  if (Array.isArray(fields.value('vocab'))) return 'Unigram';
  return fields.has('continuing_subword_prefix') ? 'WordPiece' : 'WordLevel';
}

/** `{ token: id }`. */
function readVocab(fields: Fields): ReadonlyMap<string, number> {
  const vocab = fields.value('vocab');
  if (!isObject(vocab)) fields.fail('vocab', 'an object of tokens and ids');
  const entries = Object.entries(vocab);
  if (entries.length > MAX_ENTRIES) fields.fail('vocab', `an object of at most ${MAX_ENTRIES} tokens`);
  const ids = new Map<string, number>();
  for (const [token, id] of entries) {
    if (!isTokenId(id)) {
      throw new TokenizerError(
        `${fields.path}.vocab: expected the id of ${show(token)} to be a token id, got ${show(id)}`,
      );
    }
    checkToken(`${fields.path}.vocab`, token);
    ids.set(token, id);
  }
  return ids;
}
