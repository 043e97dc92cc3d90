import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GenerateOptions, type Model } from '../../src/index.ts';
import { modelFolder } from './fixtures.ts';

/** A published chat template of test/fixtures/templates. */
export const publishedTemplate = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', 'fixtures', 'templates', 'published', `${name}.jinja`), 'utf8');

/** Folders of small models that speak as others do; `remove` deletes them. */
export class ReasoningModels {
  readonly #root = mkdtempSync(join(tmpdir(), 'vitrine-reasoning-'));

  /** A small model with the tokenizer of another, whose vocabulary has `<think>` and `</think>`, and a template. */
  think(model: string, template: string): string {
    const folder = join(this.#root, `${model}-${template}`);
    cpSync(modelFolder(model), folder, { recursive: true });
    for (const file of ['tokenizer.json', 'tokenizer_config.json'])
      cpSync(join(modelFolder('llama_gqa_tied'), file), join(folder, file));
    writeFileSync(join(folder, 'chat_template.jinja'), publishedTemplate(template));
    writeFileSync(join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: 508 }));
    return folder;
  }

  /** A small model whose last six tokens are harmony's. Its configuration knows one end of text. */
  harmony(model: string): string {
    const folder = this.think(model, 'gpt-oss');
    const names = ['<|return|>', '<|start|>', '<|end|>', '<|channel|>', '<|message|>', '<|call|>'];
    const file = join(folder, 'tokenizer.json');
    const tokenizer = JSON.parse(readFileSync(file, 'utf8')) as {
      added_tokens: { content: string; special: boolean }[];
    };
    tokenizer.added_tokens.forEach((token, i) => Object.assign(token, { content: names[i], special: true }));
    writeFileSync(file, JSON.stringify(tokenizer));
    writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ eos_token: '<|return|>' }));
    writeFileSync(join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: 506 }));
    return folder;
  }

  /** A small model with a tokenizer of test/fixtures/tokenizers, of whose ids it knows the first 512. */
  withTokenizer(model: string, tokenizer: string): string {
    const folder = join(this.#root, `${model}-${tokenizer}`);
    cpSync(modelFolder(model), folder, { recursive: true });
    const files = join(import.meta.dirname, '..', 'fixtures', 'tokenizers', tokenizer);
    for (const file of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(files, file), join(folder, file));
    return folder;
  }

  remove(): void {
    rmSync(this.#root, { recursive: true });
  }
}

/** Options that make a model say a text, one token after the other. */
export function saying({ tokenizer }: Model, text: string): GenerateOptions {
  const tokens = tokenizer.encode(text, { addSpecialTokens: false });
  let count = 0;
  return {
    maxTokens: tokens.length,
    temperature: 0,
    edit: { 'sampler.hook_token': () => Float32Array.of(tokens[count++]) },
  };
}
