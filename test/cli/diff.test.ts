import { describe, expect, it } from 'vitest';
import { MODEL, runCli, runJson } from './run-cli.ts';

const UNTIED = 'test/fixtures/models/llama_untied';
const DUMP = 'test/fixtures/expected/llama_gqa_tied/dump.safetensors';
const TOKENS = ['--tokens', '5,17,99,3'];

describe('vitrine diff', () => {
  it('exits with 0 where two backends differ by rounding, and says how much', async () => {
    const { code, stdout, stderr } = await runCli(['diff', MODEL, '--backend-b', 'reference', '--prompt', 'Hi there']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /^\d+ hooks compared; \d+ tokens\nrounding: No hook of \d+ differs by more than rounding explains; .*e-[67] of/,
    );
  });

  it('exits with 0 where a pass is the same', async () => {
    const { code, stdout } = await runCli(['diff', MODEL, MODEL, ...TOKENS]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/\nsame: All \d+ hooks are equal bit for bit\.\n$/);
  });

  it('exits with 1 where weights differ, names the first hook, and lists where new differences arise', async () => {
    const { code, stdout, stderr } = await runCli(['diff', UNTIED, '--weights-b', 'bf16', ...TOKENS]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/\n {2}hook +differs by +explained +a +b +ulp +at +token\n {2}hook_embed +[1-3]\.\de-3 /);
    expect(stderr).toMatch(
      /^vitrine: weights: hook_embed is looked up, .* Those of b are those of a, rounded to bf16\.\n$/,
    );
  });

  it('says with --oracle which of the two is wrong', async () => {
    const args = ['diff', UNTIED, '--weights-b', 'bf16', ...TOKENS, '--oracle', '--json'];
    const { code, stdout } = await runCli(args);
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: 'weights',
      wrong: ['b'],
      first: { hook: 'hook_embed', errors: { a: 0 } },
    });
  });

  it('compares a model with a dump of transformers over the tokens of the dump', async () => {
    expect(await runJson(['diff', MODEL, DUMP, '--json'])).toMatchObject({
      a: MODEL,
      b: DUMP,
      verdict: 'rounding',
      tokens: [5, 17, 99, 3],
    });
    const { stdout } = await runCli(['diff', DUMP, MODEL, '--all']);
    expect(stdout).toMatch(/\n {2}blocks\.1\.attn\.hook_pattern +\d\.\de-\d/);
    expect(stdout).toMatch(/\n {2}hook_tokens +0 /);
  });

  it.each([
    ['other tokens than were recorded', [MODEL, DUMP, '--tokens', '1,2'], /expected passes over the same tokens/],
    ['a model without a tokenizer and a text', [UNTIED], /no tokenizer\.json: give token ids/],
    ['a word for tokens', [MODEL, '--tokens', '1,x'], /--tokens.*Expected whole numbers with commas/],
    ['an oracle without a model', [DUMP, DUMP, '--oracle'], /--oracle: neither of the two is a model/],
    ['a missing recording', [MODEL, 'nowhere.safetensors'], /nowhere\.safetensors/],
    ['two prompts', [MODEL, '--tokens', '1', '--prompt', 'x'], /--tokens.*--prompt/],
  ])('refuses %s', async (_, args, words) => {
    const { code, stdout, stderr } = await runCli(['diff', ...args]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(words);
  });
});
