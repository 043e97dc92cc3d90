import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../src/loader/folder/load-tokenizer.ts';
import { TemplateError, type ChatMessage } from '../../src/tokenizer/chat-template.ts';
import type { DecodeOptions, Tokenizer } from '../../src/tokenizer/tokenizer.ts';

// Expected values: tokenizers 0.23.3 and transformers 5.23.0.
interface Decoded {
  readonly ids: number[];
  readonly decoded: string;
  readonly decoded_skip_special: string;
  readonly stream: (string | null)[] | null;
  readonly stream_skip_special?: (string | null)[];
}
interface Encoded extends Decoded {
  readonly text: string;
  readonly ids_without_special: number[];
  readonly tokens: string[];
}
interface Chat {
  readonly messages: ChatMessage[];
  readonly add_generation_prompt: boolean;
  readonly text?: string;
  readonly ids?: number[];
  readonly error?: string;
}
interface Cases {
  readonly vocab_size: number;
  readonly bos_token_id: number | null;
  readonly eos_token_id: number | null;
  readonly pad_token_id: number | null;
  readonly encode: Encoded[];
  readonly decode: Decoded[];
  readonly chat: Chat[];
}

const folder = new URL('../fixtures/tokenizers/', import.meta.url);

describe.each(readdirSync(folder))('%s', async (name) => {
  const cases = JSON.parse(readFileSync(new URL(`${name}/cases.json`, folder), 'utf8')) as Cases;
  const tokenizer = await loadTokenizer(new URL(name, folder).pathname);

  it('has the special tokens of the published tokenizer', () => {
    expect(tokenizer.vocabSize).toBe(cases.vocab_size);
    expect(tokenizer.bosId ?? null).toBe(cases.bos_token_id);
    expect(tokenizer.eosId ?? null).toBe(cases.eos_token_id);
    expect(tokenizer.padId ?? null).toBe(cases.pad_token_id);
  });

  it.each(cases.encode)(
    'encodes $text as the published tokenizer does',
    ({ text, ids, ids_without_special, tokens }) => {
      expect(tokenizer.encode(text)).toEqual(ids);
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids_without_special);
      // An expected token includes the white space of its match, which its spelling in the vocabulary lacks.
      const spellings = ids.map((id) => tokenizer.tokenOf(id));
      expect(spellings).toEqual(tokens.map((token, i) => (spellings[i] === token.trimEnd() ? token.trimEnd() : token)));
      expect(spellings.map((token) => tokenizer.idOf(token ?? ''))).toEqual(ids);
    },
  );

  it.each([...cases.encode, ...cases.decode])('decodes $ids as the published tokenizer does', (expected) => {
    expect(tokenizer.decode(expected.ids)).toBe(expected.decoded);
    expect(tokenizer.decode(expected.ids, { skipSpecialTokens: true })).toBe(expected.decoded_skip_special);
  });

  it.each([...cases.encode, ...cases.decode])('streams $ids in the pieces of the published tokenizer', (expected) => {
    const { ids, stream, stream_skip_special: skipping } = expected;
    if (stream) expectPieces(tokenizer, ids, stream, expected.decoded, {});
    if (skipping) expectPieces(tokenizer, ids, skipping, expected.decoded_skip_special, { skipSpecialTokens: true });
  });

  it.each(cases.chat)('renders $messages as transformers does (generation prompt: $add_generation_prompt)', (chat) => {
    const render = () => tokenizer.renderChat(chat.messages, { addGenerationPrompt: chat.add_generation_prompt });
    if (chat.error === undefined) expect(render()).toEqual({ text: chat.text, tokens: chat.ids });
    else expect(render).toThrow(new TemplateError(chat.error));
  });
});

function expectPieces(
  tokenizer: Tokenizer,
  ids: number[],
  expected: (string | null)[],
  whole: string,
  options: DecodeOptions,
): void {
  const stream = tokenizer.stream(options);
  const pieces = ids.map((id) => stream.push(id));
  expect(pieces).toEqual(expected.map((piece) => piece ?? ''));
  // A byte that was returned as a letter stays, even if the next one makes its run invalid.
  if (whole.startsWith(pieces.join(''))) expect(pieces.join('') + stream.end()).toBe(whole);
}
