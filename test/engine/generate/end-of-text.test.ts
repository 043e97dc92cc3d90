import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { endIds } from '../../../src/engine/generate/end-of-text.ts';
import { load } from '../../../src/index.ts';
import type { Json } from '../../../src/json.ts';
import { Tokenizer } from '../../../src/tokenizer/tokenizer.ts';
import { publishedTemplate, ReasoningModels } from '../../support/reasoning-models.ts';

interface Vocabulary {
  /** Tokens that are found whole in a text, and special where they do not end with `?`. */
  readonly added: readonly string[];
  readonly eos?: unknown;
  readonly template?: string | undefined;
}

/** A tokenizer of the letters a to z and the tokens given, whose ids begin at 26. */
function tokenizerWith({ added, eos, template }: Vocabulary): Tokenizer {
  const letters = Array.from('abcdefghijklmnopqrstuvwxyz', (letter, id) => [letter, id]);
  const tokens = added.map((token, i) => ({
    ...{ id: 26 + i, content: token.replace(/\?$/, ''), special: !token.endsWith('?') },
    ...{ normalized: false, single_word: false, lstrip: false, rstrip: false },
  }));
  const model = { type: 'BPE', vocab: Object.fromEntries(letters) as Json, merges: [] };
  const steps = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: { type: 'ByteLevel' } };
  return new Tokenizer({
    tokenizer: { added_tokens: tokens, model, ...steps },
    config: { eos_token: eos },
    chatTemplate: template,
  });
}

function ends(vocabulary: Vocabulary, config: Json = {}, generationConfig?: Json): string[] {
  const tokenizer = tokenizerWith(vocabulary);
  return endIds({ config, generationConfig, tokenizer })
    .map((id) => tokenizer.tokenOf(id) ?? String(id))
    .sort();
}

const CHATML = `{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`;

describe('endIds', () => {
  it('is the union of what the files name', () => {
    const added = ['<a>', '<b>', '<c>', '<d>'];
    expect(ends({ added, eos: '<a>' }, { eos_token_id: 27 }, { eos_token_id: [28, 27] })).toEqual([
      '<a>',
      '<b>',
      '<c>',
    ]);
    expect(ends({ added, eos: { content: '<a>', lstrip: false } })).toEqual(['<a>']);
    expect(ends({ added }, { eos_token_id: null }, { eos_token_id: [] })).toEqual([]);
    expect(endIds({ config: { eos_token_id: 1 }, generationConfig: { eos_token_id: [2, 'x', 1.5] } })).toEqual([2, 1]);
  });

  it("passes over an architecture's default that is a piece of text here", () => {
    expect(ends({ added: ['<a>'] }, { eos_token_id: 2 }, { eos_token_id: 26 })).toEqual(['<a>']);
    // It is all there is.
    expect(ends({ added: ['<a>'] }, { eos_token_id: 2 })).toEqual(['c']);
  });

  // Spellings: llama.cpp, special_eog_ids of src/llama-vocab.cpp.
  it.each([
    ...['<|im_end|>', '<|eot_id|>', '<end_of_turn>', '<|end|>', '<|endoftext|>', '<|eom_id|>', '<|end_of_text|>'],
    ...['<EOT>', '_<EOT>', '<｜end▁of▁sentence｜>', '</s>'],
  ])('knows %s by its spelling', (token) => {
    expect(ends({ added: ['<a>', token] }, { eos_token_id: 26 })).toEqual(['<a>', token].sort());
  });

  it('takes no other token for an end', () => {
    const added = [
      '<a>',
      '<|channel|>',
      '<|im_start|>',
      '<tool_call>',
      '</tool_call>',
      '<think>',
      '</think>',
      '<|python_tag|>',
      '[TOOL_CALLS]',
      '<|fim_suffix|>',
    ];
    expect(ends({ added }, { eos_token_id: 26 })).toEqual(['<a>']);
    // Gemma's `</s>` strikes text out.
    expect(ends({ added: ['<a>', '</s>?'] }, { eos_token_id: 26 })).toEqual(['<a>']);
  });

  it("does not end harmony's answers at <|end|>, whatever the configuration says", () => {
    const added = ['<|start|>', '<|end|>', '<|message|>', '<|channel|>', '<|return|>', '<|call|>'];
    expect(ends({ added }, { eos_token_id: 27 }, { eos_token_id: [27, 30] })).toEqual(['<|call|>', '<|return|>']);
    expect(ends({ added, template: publishedTemplate('gpt-oss') })).toEqual(['<|call|>', '<|return|>']);
    expect(ends({ added: added.slice(0, 4), eos: '<|end|>' })).toEqual([]);
  });

  it.each([
    [
      'a spelling that nobody knows',
      CHATML.replaceAll('im_end', 'turn_over'),
      ['<|im_start|>', '<|turn_over|>'],
      ['<|turn_over|>'],
    ],
    [
      'Granite',
      publishedTemplate('granite-3.3'),
      ['<|start_of_role|>', '<|end_of_role|>', '<|end_of_text|>'],
      ['<|end_of_text|>'],
    ],
    ['Phi-3.5', publishedTemplate('phi-3.5'), ['<|user|>', '<|assistant|>', '<|end|>'], ['<|end|>']],
    [
      'GLM, whose answers are not closed',
      publishedTemplate('glm-4.5'),
      ['<|user|>', '<|assistant|>', '[gMASK]', '<sop>'],
      [],
    ],
    ['a template that fails', '{{ raise_exception("no") }}', ['<|user|>'], []],
    ['a template that is none', '{% if', ['<|user|>'], []],
  ])('knows from the chat template what follows an answer: %s', (_, template, added, expected) => {
    expect(ends({ added, template })).toEqual(expected);
  });
});

describe('generate', () => {
  const folders = new ReasoningModels();
  afterAll(() => {
    folders.remove();
  });

  /** Three tokens, of which the last is 508, `<|im_end|>`, and one more. */
  async function count(folder: string): Promise<[number, string | undefined]> {
    const model = await load(folder, { backend: 'reference' });
    const tokens = [100, 101, 508, 200];
    let count = 0;
    let finishReason: string | undefined;
    const edit = { 'sampler.hook_token': () => Float32Array.of(tokens[count++]) };
    for await (const token of model.generate([{ role: 'user', content: 'Hi' }], { maxTokens: 4, temperature: 0, edit }))
      ({ finishReason } = token);
    model.dispose();
    return [count, finishReason];
  }

  it("ends at the tokenizer's eos, and at the template's end of a turn, whatever else the files name", async () => {
    const folder = folders.think('llama_gqa_tied', 'qwen3');
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Json;
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, eos_token_id: 506 }));
    writeFileSync(join(folder, 'generation_config.json'), '{}');
    expect(await count(folder)).toEqual([3, 'stop']);
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|endoftext|>' }));
    expect(await count(folder)).toEqual([3, 'stop']);
    const tokenizer = readFileSync(join(folder, 'tokenizer.json'), 'utf8');
    writeFileSync(join(folder, 'tokenizer.json'), tokenizer.replaceAll('<|im_end|>', '<|turn_over|>'));
    expect(await count(folder)).toEqual([4, 'length']);
    writeFileSync(join(folder, 'chat_template.jinja'), CHATML.replaceAll('<|im_end|>', '<|turn_over|>'));
    expect(await count(folder)).toEqual([3, 'stop']);
  });

  it('ends at a turn that only its spelling tells in a GGUF file', async () => {
    // The eos of this file becomes the end of a document; the token with the spelling of a turn's end stays.
    const file = join(mkdtempSync(join(tmpdir(), 'vitrine-ends-')), 'model.gguf');
    const bytes = readFileSync(join('test', 'fixtures', 'gguf', 'llama-bf16.gguf'));
    const key = bytes.indexOf('tokenizer.ggml.eos_token_id');
    expect(bytes.readUInt32LE(key + 31)).toBe(508);
    bytes.writeUInt32LE(506, key + 31);
    writeFileSync(file, bytes);
    expect(await count(file)).toEqual([3, 'stop']);
    rmSync(dirname(file), { recursive: true });
  });
});

describe('ChatTurns', () => {
  const added = ['<|im_start|>', '<|im_end|>', '<think>?', '</think>?', '<tool_call>?'];
  const { turns, encode } = ((tokenizer: Tokenizer) => ({
    turns: tokenizer.turns,
    encode: (text: string) => tokenizer.encode(text),
  }))(tokenizerWith({ added, template: CHATML.replaceAll('\n', '') + '{# </think> #}' }));

  it.each([
    ['<|im_start|>userhi<|im_end|><|im_start|>assistant', ''],
    ['<|im_start|>assistant<think>', '<think>'],
    ['<|im_start|>assistant<think>a<tool_call>b', '<think>a<tool_call>b'],
    ['<|im_start|>assistanta<think>b', 'a<think>b'],
    ['<|im_start|>userwhat<think>', undefined],
    ['ab<think>', undefined],
  ])('tells what an answer says so far: %s', (text, said) => {
    expect(turns.answerSoFar(encode(text))).toBe(said);
    expect(turns.beginsAnswer(encode(text))).toBe(said?.replace('<think>', '') === '');
  });
});
