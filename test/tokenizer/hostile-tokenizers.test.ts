import { describe, expect, it, vi } from 'vitest';
import type * as Deadline from '../../src/platform/deadline.ts';
import { TokenizerError } from '../../src/tokenizer/tokenizer-files.ts';
import { Tokenizer } from '../../src/tokenizer/tokenizer.ts';

/** Milliseconds of the deadlines that were set. */
const limits: number[] = [];
/** Deadlines are a tenth as long as the tokenizer sets them: what has no end meets them all the same. */
let shortening = 10;
vi.mock('../../src/platform/deadline.ts', async (original) => {
  const deadline = await original<typeof Deadline>();
  const withDeadline: typeof Deadline.withDeadline = (ms, what, body) => {
    limits.push(ms);
    return deadline.withDeadline(Math.ceil(ms / shortening), what, body);
  };
  return { ...deadline, withDeadline };
});

type Json = Record<string, unknown>;

const letters = Object.fromEntries(Array.from('ab x!', (char, id) => [char, id]));
const make = (tokenizer: Json, config: Json = {}) =>
  new Tokenizer({
    tokenizer: { model: { type: 'BPE', vocab: letters, merges: [] }, ...tokenizer },
    config,
    chatTemplate: undefined,
  });
const split = (regex: string) => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
});
const replace = (pattern: Json, content: string) => ({ type: 'Replace', pattern, content });
const nested = (type: string, parts: string, step: Json, depth: number) =>
  Array.from({ length: depth }).reduce<Json>((inner) => ({ type, [parts]: [inner] }), step);

/** Expects a TokenizerError with a message, in one call. */
function expectTokenizerError(body: () => unknown, message: RegExp): void {
  let error: unknown;
  try {
    body();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(TokenizerError);
  expect((error as Error).message).toMatch(message);
}

describe('patterns whose time is exponential or quadratic', () => {
  it.each<[string, Json, string, string]>([
    ['nested quantifiers', split('(a+)+$'), 'a'.repeat(32) + '!', 'pre_tokenizer'],
    ['alternatives that overlap', split('(a|a)*b'), 'a'.repeat(32), 'pre_tokenizer'],
    ['a replacement', { normalizer: replace({ Regex: '(x+x+)+y' }, 'a') }, 'x'.repeat(34), 'normalizer'],
    ['quadratic time', split('\\s+$'), ' '.repeat(200_000) + 'x', 'pre_tokenizer'],
    ['within a possessive group', split('(?>(a+)+b)'), 'a'.repeat(34), 'pre_tokenizer'],
    [
      'within a sequence',
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Whitespace' }, split('(a+)+$').pre_tokenizer] } },
      'x ' + 'a'.repeat(32) + 'x',
      'pre_tokenizer.pretokenizers[1]',
    ],
  ])('stop with an error that names their step: %s', (_, tokenizer, text, step) => {
    const made = make(tokenizer);
    expect(() => made.encode(text)).toThrow(
      new RegExp(`tokenizer\\.json: ${step.replace(/[.[\]]/g, '\\$&')}: stopped`),
    );
    expect(limits.at(-1)).toBe(Math.ceil(1000 + text.length / 100));
  });

  it('stop when decoding', () => {
    const made = make({ decoder: replace({ Regex: '(x+x+)+y' }, '') }, { eos_token: 'x'.repeat(34) });
    expect(() => made.decode([made.eosId!])).toThrow(/tokenizer\.json: decoder: stopped/);
  });

  it('stop when an added token is normalised', () => {
    const tokenizer = {
      normalizer: replace({ Regex: '(x+x+)+y' }, ''),
      added_tokens: [{ id: 5, content: 'x'.repeat(34), normalized: true, special: false }],
    };
    expect(() => make(tokenizer)).toThrow(TokenizerError);
  });

  it('are told from others: a pattern of linear time is used', () => {
    shortening = 1;
    expect(make(split('(?:a|b)+?')).encode('ab!')).toEqual([0, 1, 4]);
    shortening = 10;
  });
});

describe('the length of a result is bounded', () => {
  const double = replace({ Regex: '[a-z]' }, 'aa');
  it.each<[string, Json]>([
    ['replacements in sequence', { normalizer: { type: 'Sequence', normalizers: Array(60).fill(double) } }],
    ['empty matches', { normalizer: replace({ String: '' }, 'a'.repeat(60_000)) }],
    ['a long text to prepend', { normalizer: { type: 'Prepend', prepend: 'a'.repeat(3_000_000) } }],
    [
      'letters for bytes of letters',
      {
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: Array(40).fill({ type: 'ByteLevel', add_prefix_space: true, trim_offsets: true }),
        },
      },
    ],
  ])('%s', (_, tokenizer) => {
    expect(() => make(tokenizer).encode('a'.repeat(100))).toThrow(/makes \d+ characters out of|stopped after/);
  });

  it('a template that repeats the ids', () => {
    const single = Array.from({ length: 1000 }, () => ({ Sequence: { id: 'A', type_id: 0 } }));
    const template = { type: 'TemplateProcessing', single, pair: [], special_tokens: {} };
    const processors = [template, template, template];
    expect(() => make({ post_processor: { type: 'Sequence', processors } }).encode('ab')).toThrow(/tokens of a text/);
  });
});

describe('an error names the malformed step', () => {
  it.each<[Json, RegExp]>([
    [{ pre_tokenizer: nested('Sequence', 'pretokenizers', { type: 'Whitespace' }, 500) }, /16 sequences within/],
    [{ normalizer: { type: 'Sequence', normalizers: Array(2000).fill({ type: 'NFC' }) } }, /more than 1000 steps/],
    [{ pre_tokenizer: { type: 'Split', pattern: {}, behavior: 'Removed', invert: false } }, /pre_tokenizer\.pattern/],
    [
      { pre_tokenizer: { type: 'Sequence', pretokenizers: 3 } },
      /pre_tokenizer: expected pretokenizers to be a list, got 3/,
    ],
    [
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [null] } },
      /pretokenizers\[0\]: expected an object, got null/,
    ],
    [
      { normalizer: { type: 'Strip', strip_left: 'yes', strip_right: true } },
      /strip_left to be true or false, got "yes"/,
    ],
    [{ normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } }, /precompiled_charsmap/],
    [{ normalizer: { type: 'Precompiled', precompiled_charsmap: '*' } }, /rules in base64, got "\*"/],
    [{ decoder: { type: 'Strip', content: ' ', start: -1, stop: 0 } }, /start to be an integer from 0/],
    [{ decoder: 'Fuse' }, /decoder: expected an object, got "Fuse"/],
    [{ post_processor: { type: 'BertProcessing', sep: ['a', -1], cls: ['b', 1] } }, /sep to be \[token, id\]/],
    [{ post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: 'x' } }] } }, /special_tokens\.x/],
    [{ model: { type: 'BPE', vocab: [], merges: [] } }, /model: expected vocab/],
    [{ model: { type: 'BPE', vocab: { a: 0 }, merges: ['a'] } }, /merge 0/],
    [{ model: { type: 'Unigram', vocab: [['a', 'b']] } }, /model\.vocab\[0\]/],
    [{ model: { type: 'Unigram', unk_id: 5, vocab: [['a', 1]] } }, /unk_id/],
    [{ model: { type: 'Other' } }, /BPE, Unigram, WordLevel or WordPiece, got "Other"/],
    [{ added_tokens: [{ id: 1, content: 'x'.repeat(70_000) }] }, /added_tokens\[0\].*70000/],
    [{ added_tokens: [{ id: 1 }] }, /added_tokens\[0\]: expected content/],
    [{ added_tokens: new Array(1) }, /added_tokens\[0\]: expected an object/],
    [{ model: { type: 'BPE', vocab: { a: 0 }, merges: [['a', ...new Array<string>(1)]] } }, /expected merge 0 to be/],
    [
      { model: { type: 'BPE', vocab: { a: 0 }, merges: [Object.assign(new Array(2), { 0: 'a' })] } },
      /expected merge 0 to be/,
    ],
    [{ model: { type: 'BPE', vocab: { a: 0 }, merges: new Array(1) } }, /expected merge 0 to be/],
  ])('%j', (tokenizer, message) => {
    expectTokenizerError(() => make(tokenizer), message);
  });

  it.each<[Json, RegExp]>([
    [{ added_tokens_decoder: { x: { content: 'a' } } }, /keys of added_tokens_decoder/],
    [{ added_tokens_decoder: [] }, /added_tokens_decoder to be an object/],
    [{ added_tokens_decoder: { 7: 'a' } }, /added_tokens_decoder\["7"\]/],
    [{ eos_token: 3 }, /eos_token/],
    [{ extra_special_tokens: 'a' }, /extra_special_tokens/],
  ])('in tokenizer_config.json: %j', (config, message) => {
    expectTokenizerError(() => make({}, config), message);
  });

  it('shows a value in one short line without control characters', () => {
    const tokenizer = { normalizer: { type: '\u001b[2J' + 'x'.repeat(100_000) } };
    const message = (() => {
      try {
        make(tokenizer);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    })();
    expect(message.length).toBeLessThan(300);
    expect(message).not.toContain('\u001b');
  });
});

describe('added tokens and vocabulary', () => {
  it('finds two of 100,000 added tokens', () => {
    const tokens = Array.from({ length: 100_000 }, (_, i) => ({ id: 5 + i, content: `<t${i}>`, special: true }));
    const made = make({ added_tokens: tokens });
    expect(made.encode('a<t99999>b<t7>')).toEqual([0, 5 + 99_999, 1, 5 + 7]);
  });

  it('treats names of JavaScript, such as __proto__, as tokens', () => {
    const vocab = JSON.parse('{"__proto__": 0, "constructor": 1, "a": 2}') as Json;
    const made = make({ model: { type: 'WordLevel', unk_token: 'a', vocab }, pre_tokenizer: { type: 'Whitespace' } });
    expect(made.encode('__proto__ constructor toString')).toEqual([0, 1, 2]);
  });
});
