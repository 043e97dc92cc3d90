import { enterStep } from '../step-deadline.ts';
import type { StepBuilder } from '../step-builder.ts';
import type { Fields } from '../json-fields.ts';
import { checkGrowth } from '../size-limits.ts';
import { readPattern } from '../patterns/pattern.ts';
import { replacer } from '../patterns/pattern-replacer.ts';
import { byteFallback, byteLevel } from './byte-decoders.ts';

/** Makes text of tokens, which are given as the vocabulary spells them. */
export type DecodeTokens = (tokens: readonly string[]) => string;
type Decoder = (tokens: readonly string[], source: number) => string[];

/**
 * The `decoder` of tokenizer.json. Without one, tokens are joined with spaces.
 *
 * @throws {TokenizerError} when the decoder is malformed or unknown; the returned function throws it when the text grows
 *   too much.
 */
export function createDecoder(config: unknown, builder: StepBuilder): DecodeTokens {
  if (config === undefined || config === null) return (tokens) => tokens.join(' ');
  const path = 'tokenizer.json: decoder';
  const steps = builder.collectSteps(config, path, 'decoders', (type, fields) => create(type, fields, builder));
  return (tokens) => {
    const source = lengthOf(tokens);
    checkGrowth(path, source, source);
    let parts = tokens;
    for (const { path, run } of steps) {
      enterStep(path);
      parts = run(parts, source);
      checkGrowth(path, source, lengthOf(parts));
    }
    return parts.join('');
  };
}

function lengthOf(parts: readonly string[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

function create(type: string, fields: Fields, builder: StepBuilder): Decoder | undefined {
  switch (type) {
    case 'BPEDecoder':
      return bpe(fields.string('suffix', '</w>'));
    case 'ByteFallback':
      return byteFallback;
    case 'ByteLevel':
      return byteLevel;
    case 'CTC':
      return ctc(fields);
    case 'Fuse':
      return (tokens) => [tokens.join('')];
    case 'Metaspace':
      return metaspace(fields);
    case 'Replace': {
      const replace = replacer(fields.path, readPattern(fields, 'pattern', builder), fields.string('content'));
      return (tokens, source) => tokens.map((token) => replace(token, source));
    }
    case 'Strip':
      return strip(fields);
    case 'WordPiece':
      return wordPiece(fields);
    default:
      return undefined;
  }
}

/** Replaces the suffix that marks the end of a word with a space, after the last word with nothing. */
function bpe(suffix: string): Decoder {
  return (tokens) => tokens.map((token, i) => replaceAll(token, suffix, i === tokens.length - 1 ? '' : ' '));
}

/** Rust's `str::replace`: an empty `part` matches between all characters, and `$` in `content` is a plain character. */
function replaceAll(text: string, part: string, content: string): string {
  return part === '' ? Array.from(text, (char) => content + char).join('') + content : text.split(part).join(content);
}

function ctc(fields: Fields): Decoder {
  const pad = fields.string('pad_token', '<pad>');
  const delimiter = fields.string('word_delimiter_token', '|');
  const cleans = fields.boolean('cleanup', true);
  return (tokens) =>
    tokens
      .filter((token, i) => i === 0 || token !== tokens[i - 1])
      .map((token) => replaceAll(token, pad, ''))
      .map((token) => (cleans ? replaceAll(cleanUp(token), delimiter, ' ') : token))
      .filter((token) => token !== '');
}

/** Replaces the mark with a space; in the first token it was prepended to the text, and is removed. */
function metaspace(fields: Fields): Decoder {
  const mark = fields.character('replacement', '▁');
  const adds = fields.boolean('add_prefix_space', true);
  const scheme = fields.choice('prepend_scheme', ['first', 'always', 'never'], adds ? 'always' : 'never');
  if (!adds && scheme !== 'never') fields.fail('prepend_scheme', 'never where add_prefix_space is false');
  return (tokens) => tokens.map((token, i) => replaceAll(token, mark, i === 0 && scheme !== 'never' ? '' : ' '));
}

/** Removes a character from the ends of each token: at most `start` times at its beginning and `stop` times at its end. */
function strip(fields: Fields): Decoder {
  const content = fields.character('content');
  const most = 2 ** 31;
  const [start, stop] = [fields.integer('start', 0, most), fields.integer('stop', 0, most)];
  return (tokens) =>
    tokens.map((token) => {
      let from = 0;
      for (let i = 0; i < start && token.startsWith(content, from); i++) from += content.length;
      let to = token.length;
      for (let i = 0; i < stop && to > from && token.endsWith(content, to); i++) to -= content.length;
      return token.slice(from, to);
    });
}

function wordPiece(fields: Fields): Decoder {
  const prefix = fields.string('prefix', '##');
  const cleans = fields.boolean('cleanup', true);
  return (tokens) =>
    tokens.map((token, i) => {
      const word = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
      return cleans ? cleanUp(word) : word;
    });
}

const UNTIDY = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
] as const;

/** Source: `cleanup` in decoders/wordpiece.rs of the Rust crate `tokenizers`. */
function cleanUp(text: string): string {
  return UNTIDY.reduce((tidied, [from, to]) => tidied.replaceAll(from, to), text);
}
