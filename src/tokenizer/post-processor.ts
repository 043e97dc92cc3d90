import type { StepBuilder } from './step-builder.ts';
import { Fields, isTokenId, showValue, TokenizerError } from './json-fields.ts';
import { MAX_STEPS } from './size-limits.ts';
import { isObject } from '../json.ts';

/**
 * Adds the tokens that the model expects around a text.
 *
 * @param addSpecialTokens Whether to add them. A template applies in either case, and may repeat or leave out the text.
 */
export type PostProcessor = (ids: readonly number[], addSpecialTokens: boolean) => readonly number[];

/** Ids of a text. A template can repeat the text any number of times. */
const MAX_IDS = 2 ** 26;

/**
 * The `post_processor` of tokenizer.json. Its rules for offsets and for pairs of texts are ignored.
 *
 * @throws {TokenizerError} when it is malformed or unknown; the returned function throws it when there are too many ids.
 */
export function createPostProcessor(config: unknown, builder: StepBuilder): PostProcessor {
  const path = 'tokenizer.json: post_processor';
  const steps = builder.collectSteps(config, path, 'processors', create);
  return (ids, add) => steps.reduce((done, { run }) => run(done, add), ids);
}

function create(type: string, fields: Fields): PostProcessor | undefined {
  switch (type) {
    case 'ByteLevel':
      return (ids) => ids;
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const [first, last] = [tokenId(fields, 'cls'), tokenId(fields, 'sep')];
      return (ids, add) => (add ? [first, ...ids, last] : ids);
    }
    case 'TemplateProcessing':
      return template(fields);
    default:
      return undefined;
  }
}

/** The id of a token that is given as `["[CLS]", 101]`. */
function tokenId(fields: Fields, name: string): number {
  const pair = fields.list(name);
  return pair.length === 2 && typeof pair[0] === 'string' && isTokenId(pair[1])
    ? pair[1]
    : fields.fail(name, '[token, id]');
}

/** A template: the field `single` lists special tokens and the places of the text. */
function template(fields: Fields): PostProcessor {
  const pieces = fields.list('single');
  if (pieces.length > MAX_STEPS) fields.fail('single', `a list of at most ${MAX_STEPS}`);
  const ids = fields.has('special_tokens')
    ? fields.object('special_tokens')
    : new Fields(`${fields.path}.special_tokens`, {});
  const parts = pieces.map((piece, i) => {
    const path = `${fields.path}.single[${i}]`;
    const { SpecialToken: token, Sequence: text } = isObject(piece) ? piece : {};
    if (isObject(token) && typeof token.id === 'string') return specialIds(ids, token.id);
    if (isObject(text) && (text.id === 'A' || text.id === 'B')) return text.id;
    throw new TokenizerError(`${path}: expected a SpecialToken or a Sequence, got ${showValue(piece)}`);
  });
  return (text, add) => {
    const used = parts.filter((part) => part === 'A' || (part !== 'B' && add));
    const lists = used.map((part) => (part === 'A' ? text : (part as readonly number[])));
    // Before any work: templates in sequence multiply the ids.
    const count = lists.reduce((sum, list) => sum + list.length, 0);
    if (count > MAX_IDS) throw new TokenizerError(`${fields.path}: makes more than ${MAX_IDS} tokens of a text`);
    const all: number[] = [];
    for (const list of lists) for (const id of list) all.push(id);
    return all;
  };
}

function specialIds(tokens: Fields, name: string): readonly number[] {
  const ids = tokens.object(name).list('ids');
  return ids.every(isTokenId) && ids.length <= MAX_STEPS ? ids : tokens.object(name).fail('ids', 'a list of token ids');
}
