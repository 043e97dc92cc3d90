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
 * Cuts a text, or a piece of it, into smaller ones. An empty piece stands for text that was removed.
 * @param isStart - Whether the piece begins where the whole text does.
 */
type PieceSplitter = (piece: string, isStart: boolean) => string[];

/**
 * Splits a text into words, as the `pre_tokenizer` of tokenizer.json says.
 * @param source - The length of the whole text as it was given, which bounds what may be made of it.
 */
export type PreTokenizer = (text: string, isStart: boolean, source: number) => readonly string[];

export function createPreTokenizer(config: unknown, build: StepBuilder): PreTokenizer {
  const path = 'tokenizer.json: pre_tokenizer';
  const steps = build.collectSteps(config, path, 'pretokenizers', (type, fields) => create(type, fields, build));
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

/** White space, punctuation and digits as Rust's `char` methods and the crate `unicode_categories` define them. */
const WHITE_SPACE = /\p{White_Space}/gu;
const PUNCTUATION = /[\p{P}$+<=>^`|~]/gu;
const NUMERIC = /\p{N}/gu;
/** `\w+|[^\w\s]+` of the Rust crate `regex`. */
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';
const WORDS = new RegExp(`[${WORD}]+|[^${WORD}\\p{White_Space}]+`, 'gu');

function create(type: string, fields: Fields, build: StepBuilder): PieceSplitter | undefined {
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
        readPattern(fields, 'pattern', build),
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

/** Writes spaces as a mark of their own, puts one before the text, and splits before each. */
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

/** Cuts into pieces of so many characters. */
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
