import { enterStep } from '../step-deadline.ts';
import type { StepBuilder } from '../step-builder.ts';
import { toByteLetters } from '../byte-alphabet.ts';
import type { Fields } from '../json-fields.ts';
import { checkGrowth } from '../size-limits.ts';
import { GPT2 } from '../patterns/published-patterns.ts';
import { fromOniguruma } from '../patterns/oniguruma.ts';
import { matcher, readPattern } from '../patterns/pattern.ts';
import { BEHAVIOURS, splitter } from './splitter.ts';
import { splitByScript } from './unicode-scripts.ts';

/**
 * Splits a piece of text into smaller ones. An empty piece stands for text that was removed.
 *
 * @param isStart Whether the piece begins where the whole text does.
 */
type PieceSplitter = (piece: string, isStart: boolean) => string[];

/**
 * Splits a text into words. Some of the words may be empty.
 *
 * @param isStart Whether the text begins where the whole input text does.
 * @param source The length of the whole input text, which bounds the length of all words.
 * @throws {TokenizerError} when the words are too long.
 */
export type PreTokenizer = (text: string, isStart: boolean, source: number) => readonly string[];

/**
 * The `pre_tokenizer` of tokenizer.json.
 *
 * @throws {TokenizerError} when it is malformed or unknown.
 */
export function createPreTokenizer(config: unknown, builder: StepBuilder): PreTokenizer {
  const path = 'tokenizer.json: pre_tokenizer';
  const steps = builder.collectSteps(config, path, 'pretokenizers', (type, fields) => create(type, fields, builder));
  return (text, isStart, source) => {
    let pieces = [text];
    for (const { path, run } of steps) {
      enterStep(path);
      const parts: string[] = [];
      let length = 0;
      for (const [i, piece] of pieces.entries()) {
        if (piece === '') {
          if (i === 0) parts.push('');
          continue;
        }
        for (const part of run(piece, isStart && i === 0)) {
          if (part === '' && parts.length > 0) continue;
          parts.push(part);
          length += part.length;
        }
      }
      checkGrowth(path, source, length);
      pieces = parts;
    }
    return pieces;
  };
}

/** White space, punctuation and digits as defined by Rust's `char` and the crate `unicode_categories`. */
const WHITE_SPACE = /\p{White_Space}/gu;
const PUNCTUATION = /[\p{P}$+<=>^`|~]/gu;
const NUMERIC = /\p{N}/gu;
/** `\w+|[^\w\s]+` as in the Rust crate `regex`. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const WORDS = new RegExp(`[${WORD}]+|[^${WORD}\\p{White_Space}]+`, 'gu');

function create(type: string, fields: Fields, builder: StepBuilder): PieceSplitter | undefined {
  switch (type) {
    case 'BertPreTokenizer': {
      const words = splitter(matcher(WHITE_SPACE), 'Removed');
      const marks = splitter(matcher(PUNCTUATION), 'Isolated');
      return (piece) => words(piece).flatMap((word) => (word === '' ? [''] : marks(word)));
    }
    case 'ByteLevel':
      return byteLevel(fields);
    case 'CharDelimiterSplit':
      return splitter(literal(fields.character('delimiter')), 'Removed');
    case 'Digits':
      return splitter(matcher(NUMERIC), fields.boolean('individual_digits', false) ? 'Isolated' : 'Contiguous');
    case 'FixedLength':
      return fixedLength(fields.integer('length', 1, 2 ** 31, 5));
    case 'Metaspace':
      return metaspace(fields);
    case 'Punctuation':
      return splitter(matcher(PUNCTUATION), fields.choice('behavior', BEHAVIOURS, 'Isolated'));
    case 'Split':
      return splitter(
        readPattern(fields, 'pattern', builder),
        fields.choice('behavior', BEHAVIOURS),
        fields.boolean('invert'),
      );
    case 'UnicodeScripts':
      return splitByScript;
    case 'Whitespace':
      return splitter(matcher(WORDS), 'Removed', true);
    case 'WhitespaceSplit':
      return splitter(matcher(WHITE_SPACE), 'Removed');
    default:
      return undefined;
  }
}

function literal(char: string) {
  return matcher(new RegExp(`\\u{${char.codePointAt(0)!.toString(16)}}`, 'gu'));
}

function byteLevel(fields: Fields): PieceSplitter {
  const addsSpace = fields.boolean('add_prefix_space', false);
  const split = fields.boolean('use_regex', true) ? splitter(matcher(fromOniguruma(GPT2)), 'Isolated') : undefined;
  return (piece) => {
    const text = addsSpace && !piece.startsWith(' ') ? ` ${piece}` : piece;
    return split ? split(text).map(toByteLetters) : [toByteLetters(text)];
  };
}

/** Replaces spaces with a mark, prepends a mark to the text, and splits before each mark. */
function metaspace(fields: Fields): PieceSplitter {
  const mark = fields.character('replacement', '▁');
  const adds = fields.boolean('add_prefix_space', true);
  const scheme = fields.choice('prepend_scheme', ['first', 'always', 'never'], adds ? 'always' : 'never');
  if (!adds && scheme !== 'never') fields.fail('prepend_scheme', 'never where add_prefix_space is false');
  const split = fields.boolean('split', true) ? splitter(literal(mark), 'MergedWithNext') : undefined;
  return (piece, isStart) => {
    const marked = piece.replaceAll(' ', () => mark);
    const isMissing = !marked.startsWith(mark) && (scheme === 'always' || (scheme === 'first' && isStart));
    const text = isMissing ? mark + marked : marked;
    return split ? split(text) : [text];
  };
}

/** Splits into pieces of `length` code points. */
function fixedLength(length: number): PieceSplitter {
  return (piece) => {
    const pieces: string[] = [];
    let start = 0;
    let at = 0;
    let count = 0;
    for (const char of piece) {
      at += char.length;
      if (++count < length) continue;
      pieces.push(piece.slice(start, at));
      start = at;
      count = 0;
    }
    if (start < at) pieces.push(piece.slice(start));
    return pieces;
  };
}
