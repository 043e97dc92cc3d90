import { enterStep } from '../step-deadline.ts';
import type { StepBuilder } from '../step-builder.ts';
import { toByteLetters } from '../byte-alphabet.ts';
import type { Fields } from '../json-fields.ts';
import { checkGrowth } from '../size-limits.ts';
import { readPattern } from '../patterns/pattern.ts';
import { replacer } from '../patterns/pattern-replacer.ts';
import { bertNormalizer, lowerCase } from './bert-normalizer.ts';
import { precompiledNormalizer } from './precompiled-normalizer.ts';

/**
 * Normalises a text before it is split.
 *
 * @param source The length of the whole input text, which bounds the length of the result.
 * @throws {TokenizerError} when the result is too long.
 */
export type Normalizer = (text: string, source: number) => string;

/**
 * The `normalizer` of tokenizer.json.
 *
 * @throws {TokenizerError} when it is malformed or unknown.
 */
export function createNormalizer(config: unknown, builder: StepBuilder): Normalizer {
  const path = 'tokenizer.json: normalizer';
  const steps = builder.collectSteps(config, path, 'normalizers', (type, fields) => create(type, fields, builder));
  return (text, source) => {
    for (const { path, run } of steps) {
      enterStep(path);
      text = run(text, source);
      checkGrowth(path, source, text.length);
    }
    return text;
  };
}

/** Source: `do_nmt` in normalizers/unicode.rs of the Rust crate `tokenizers`. */
// eslint-disable-next-line no-control-regex -- the characters to remove
const NMT_REMOVED = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g;
const NMT_SPACE = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

function create(type: string, fields: Fields, builder: StepBuilder): Normalizer | undefined {
  switch (type) {
    case 'BertNormalizer':
      return bertNormalizer(fields);
    case 'ByteLevel':
      return toByteLetters;
    case 'Lowercase':
      return lowerCase;
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => text.normalize(type);
    case 'Nmt':
      return (text) => text.replace(NMT_REMOVED, '').replace(NMT_SPACE, ' ');
    case 'Precompiled':
      return precompiledNormalizer(fields);
    case 'Prepend':
      return prepend(fields);
    case 'Replace':
      return replacer(fields.path, readPattern(fields, 'pattern', builder), fields.string('content'));
    case 'Strip':
      return strip(fields.boolean('strip_left'), fields.boolean('strip_right'));
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    default:
      return undefined;
  }
}

function prepend(fields: Fields): Normalizer {
  const { path } = fields;
  const beginning = fields.string('prepend');
  return (text, source) => {
    checkGrowth(path, source, text.length + beginning.length);
    return text === '' ? '' : beginning + text;
  };
}

const WHITE_SPACE = /\p{White_Space}/u;

function strip(left: boolean, right: boolean): Normalizer {
  return (text) => {
    let start = 0;
    let end = text.length;
    // No white space lies beyond U+FFFF.
    if (left) while (start < end && WHITE_SPACE.test(text[start])) start++;
    if (right) while (end > start && WHITE_SPACE.test(text[end - 1])) end--;
    return text.slice(start, end);
  };
}
