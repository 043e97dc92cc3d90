import { isObject } from '../../json.ts';
import { Fields, isTokenId, showValue, TokenizerError } from '../json-fields.ts';
import { Bpe } from './bpe.ts';
import type { Model } from './tokenizer-model.ts';
import { Unigram } from './unigram.ts';
import { wordLevel } from './word-level.ts';
import { wordPiece } from './word-piece.ts';
import { checkToken, MAX_ENTRIES } from '../size-limits.ts';
import type { StepBuilder } from '../step-builder.ts';

/**
 * The `model` of tokenizer.json. In older files, which do not name its type, the fields tell it.
 *
 * @throws {TokenizerError} when the model is malformed or of an unknown type.
 */
export function createModel(config: unknown, builder: StepBuilder): Model {
  const fields = new Fields('tokenizer.json: model', config);
  const type = fields.has('type') ? fields.string('type') : typeByFields(fields);
  switch (type) {
    case 'BPE':
      return new Bpe(fields, readVocab(fields));
    case 'Unigram':
      return new Unigram(fields, builder);
    case 'WordLevel':
      return wordLevel(fields, readVocab(fields));
    case 'WordPiece':
      return wordPiece(fields, readVocab(fields), builder);
    default:
      return fields.fail('type', 'BPE, Unigram, WordLevel or WordPiece');
  }
}

function typeByFields(fields: Fields): string {
  if (fields.has('merges')) return 'BPE';
  if (Array.isArray(fields.value('vocab'))) return 'Unigram';
  return fields.has('continuing_subword_prefix') ? 'WordPiece' : 'WordLevel';
}

/** The field `vocab`: `{ token: id }`. */
function readVocab(fields: Fields): ReadonlyMap<string, number> {
  const vocab = fields.value('vocab');
  if (!isObject(vocab)) fields.fail('vocab', 'an object of tokens and ids');
  const entries = Object.entries(vocab);
  if (entries.length > MAX_ENTRIES) fields.fail('vocab', `an object of at most ${MAX_ENTRIES} tokens`);
  const ids = new Map<string, number>();
  for (const [token, id] of entries) {
    if (!isTokenId(id)) {
      throw new TokenizerError(
        `${fields.path}.vocab: expected the id of ${showValue(token)} to be a token id, got ${showValue(id)}`,
      );
    }
    checkToken(`${fields.path}.vocab`, token);
    ids.set(token, id);
  }
  return ids;
}
