import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../src/loader/folder/load-tokenizer.ts';
import { ModelFolder } from '../../src/loader/files/model-folder.ts';
import { readTokenizerFiles, TokenizerError, type TokenizerFiles } from '../../src/tokenizer/tokenizer-files.ts';
import { VitrineError } from '../../src/errors.ts';
import { Tokenizer } from '../../src/tokenizer/tokenizer.ts';

const fixture = (name: string) => new URL(`../fixtures/tokenizers/${name}`, import.meta.url).pathname;
const user = [{ role: 'user', content: 'Hi' }];

describe('allowSpecial: false', () => {
  it.each(['bpe_chatml', 'bpe_llama3', 'metaspace_gemma', 'metaspace_pre'])(
    'encodes the spelling of special tokens as ordinary text: %s',
    async (name) => {
      const tokenizer = await loadTokenizer(fixture(name));
      for (const id of tokenizer.specialIds) {
        const text = `a ${tokenizer.tokenOf(id)!} b`;
        expect(tokenizer.encode(text)).toContain(id);
        const plain = tokenizer.encode(text, { addSpecialTokens: false, allowSpecial: false });
        expect(plain.filter((each) => tokenizer.specialIds.has(each))).toEqual([]);
        expect(tokenizer.decode(plain)).toBe(text);
      }
    },
  );
});

describe('a text of one piece, repeated', async () => {
  const tokenizer = await loadTokenizer(fixture('smollm2'));

  it.each(['a', ' ', "'", '👨‍👩‍👧', '1'])('is encoded and decoded: %j', (piece) => {
    const text = piece.repeat(320_000 / piece.length);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});

describe('tokenizer_config.json', () => {
  const encodeHi = async (name: string, config: Record<string, unknown>) => {
    const files = (await readTokenizerFiles(new ModelFolder(fixture(name))))!;
    const tokenizer = new Tokenizer({ ...files, config: { ...files.config, ...config } });
    const bare = tokenizer.encode('Hi', { addSpecialTokens: false });
    const ids = tokenizer.encode('Hi');
    return ids
      .map((id) => (bare.includes(id) ? '.' : tokenizer.tokenOf(id)))
      .join(' ')
      .replace(/\.( \.)*/, 'Hi');
  };
  it('adds BOS and EOS unless the post-processor does', async () => {
    expect(await encodeHi('bpe_smol', {})).toBe('Hi');
    expect(await encodeHi('bpe_smol', { add_bos_token: true })).toBe('<|im_start|> Hi');
    expect(await encodeHi('bpe_smol', { add_bos_token: true, add_eos_token: true })).toBe('<|im_start|> Hi <|im_end|>');
    expect(await encodeHi('metaspace_llama2', { add_bos_token: true })).toBe('<s> Hi');
  });
});

describe('a tokenizer folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vitrine-tokenizer-'));
    cpSync(fixture('bpe_chatml'), folder, { recursive: true });
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const write = (file: string, content: string | Uint8Array) => {
    writeFileSync(join(folder, file), content);
  };
  const config = (value: unknown) => {
    write('tokenizer_config.json', JSON.stringify({ chat_template: value }));
  };
  const render = async (tools?: unknown[]) => (await loadTokenizer(folder)).renderChat(user, { tools }).text;

  it('gives its chat template in any of three ways', async () => {
    config([
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: 'tools' },
    ]);
    expect([await render(), await render([{}])]).toEqual(['plain', 'tools']);
    write('chat_template.jinja', 'file');
    expect([await render(), await render([{}])]).toEqual(['file', 'file']);
    mkdirSync(join(folder, 'additional_chat_templates'));
    write('additional_chat_templates/tool_use.jinja', 'file with tools');
    expect([await render(), await render([{}])]).toEqual(['file', 'file with tools']);
  });

  it.each(['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'chat_template.jinja'])(
    'with a link to a file outside is refused: %s',
    async (name) => {
      const elsewhere = mkdtempSync(join(tmpdir(), 'vitrine-elsewhere-'));
      writeFileSync(join(elsewhere, 'file'), '{"PRIVATE": "KEY"}');
      rmSync(join(folder, name), { force: true });
      symlinkSync(join(elsewhere, 'file'), join(folder, name));
      const error = await loadTokenizer(folder).catch((error: unknown) => error as Error);
      rmSync(elsewhere, { recursive: true });
      expect(error).toBeInstanceOf(VitrineError);
      expect((error as Error).message).toContain(name);
      expect((error as Error).message).not.toContain('PRIVATE');
    },
  );

  it('may have links to its own files', async () => {
    renameSync(join(folder, 'tokenizer.json'), join(folder, 'own.json'));
    symlinkSync('own.json', join(folder, 'tokenizer.json'));
    expect((await loadTokenizer(folder)).encode('Hi')).not.toEqual([]);
  });

  it('is never quoted in an error about malformed JSON', async () => {
    write('tokenizer_config.json', '{"a": PRIVATE KEY}');
    await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer_config\.json: not valid JSON/);
    await expect(loadTokenizer(folder)).rejects.not.toThrow(/PRIVATE/);
  });

  it('without tokenizer.json has no tokenizer', async () => {
    rmSync(join(folder, 'tokenizer.json'));
    expect(await readTokenizerFiles(new ModelFolder(folder))).toBeUndefined();
    await expect(loadTokenizer(folder)).rejects.toThrow(/no tokenizer\.json/);
  });

  it('without a chat template encodes, but renders no conversations', async () => {
    config(undefined);
    const tokenizer = await loadTokenizer(folder);
    expect(tokenizer.decode(tokenizer.encode('Hi'))).toBe('Hi');
    expect(() => tokenizer.renderChat(user)).toThrow(/no chat template/);
  });

  it.each<[string, string | Uint8Array, RegExp]>([
    ['tokenizer.json', '{"model": ', /tokenizer\.json: not valid JSON/],
    ['tokenizer.json', '[]', /tokenizer\.json: expected a JSON object/],
    ['tokenizer_config.json', Uint8Array.of(0xff), /tokenizer_config\.json: not valid UTF-8/],
    ['tokenizer_config.json', '{"chat_template": 3}', /chat_template to be a string or a list/],
    [
      'chat_template.jinja',
      'x'.repeat(2 ** 20 + 1),
      /chat_template\.jinja: expected at most 1048576 bytes, got 1048577/,
    ],
    ['tokenizer.json', '{}', /tokenizer\.json: /],
    ['tokenizer.json', '{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}', /the id of "a"/],
    ['tokenizer.json', '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}', /merge 0, "a" with "b"/],
    ['tokenizer.json', '{"model": {"type": "BPE", "vocab": {}, "merges": [7]}}', /merge 0/],
    [
      'tokenizer.json',
      '{"model": {"vocab": {}, "merges": []}, "added_tokens": [{"id": 1e9, "content": "x"}]}',
      /added_tokens\[0\]/,
    ],
    ['tokenizer.json', '{"model": {"vocab": {}, "merges": []}, "pre_tokenizer": {"type": "New"}}', /New/],
    [
      'tokenizer.json',
      '{"model": {"vocab": {}, "merges": []}, "decoder": {"type": "Sequence", "decoders": [3]}}',
      /tokenizer\.json/,
    ],
  ])('with a broken %s is refused: %s', async (file, content, message) => {
    write(file, content);
    await expect(loadTokenizer(folder)).rejects.toThrow(TokenizerError);
    await expect(loadTokenizer(folder)).rejects.toThrow(message);
  });
});

describe('the pre-tokenizer Metaspace', () => {
  const split = (preTokenizer: object, text: string) => {
    const vocab = Object.fromEntries(Array.from(new Set(text + '▁'), (char, id) => [char, id]));
    const files: TokenizerFiles = {
      tokenizer: {
        model: { type: 'BPE', vocab: { ...vocab, aa: 98, '▁▁': 99 }, merges: ['a a', '▁ ▁'] },
        pre_tokenizer: preTokenizer,
      },
      config: {},
      chatTemplate: undefined,
    };
    const tokenizer = new Tokenizer(files);
    return tokenizer.encode(text).map((id) => tokenizer.tokenOf(id));
  };
  it('splits before each replaced space, unless split is false', () => {
    const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'never' };
    expect(split({ ...metaspace, split: true }, 'aa  aa')).toEqual(['aa', '▁', '▁', 'aa']);
    expect(split({ ...metaspace, split: false }, 'aa  aa')).toEqual(['aa', '▁▁', 'aa']);
  });
});
