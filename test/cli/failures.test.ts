import { copyFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { MODEL, runCli } from './run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-cli-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function brokenModel(malformed: string): string {
  const broken = join(folder, malformed);
  cpSync(MODEL, broken, { recursive: true });
  copyFileSync(join('test/fixtures/malformed', malformed), join(broken, 'model.safetensors'));
  return broken;
}

describe('bad input ends with exit code 1 and one line on stderr', () => {
  const generate = ['generate', '--backend', 'reference', 'hi'];
  it.each<[what: string, args: string[], line: RegExp]>([
    ['an unknown command', ['generat'], /unknown command 'generat'.*generate/],
    ['an unknown option', [...generate, '--tpo-k', '3'], /unknown option '--tpo-k'.*--top-k/],
    ['too many arguments', [...generate, 'there'], /too many arguments/],
    ['a missing argument', ['pull'], /missing required argument 'model'/],
    [
      'a word for a number',
      [...generate, '--max-tokens', 'ten'],
      /--max-tokens.*'ten'.*Expected a whole number from 0/,
    ],
    ['a fraction for a count', [...generate, '--top-k', '1.5'], /--top-k.*'1.5'.*whole number/],
    ['no threads', [...generate, '--threads', '0'], /--threads.*from 1/],
    ['a value out of range', [...generate, '--top-p', '3', '-m', MODEL], /--top-p.*'3'.*Expected a number from 0 to 1/],
    ['a size that is none', [...generate, '--max-memory', 'lots'], /--max-memory.*'lots'.*8GB/],
    ['too little memory', [...generate, '--max-memory', '1kB', '-m', MODEL], /fit into memory.*maxMemory allows 1 kB/],
    ['a prompt beyond the context', [...generate, '--context', '3', '-m', MODEL], /loaded for at most 3\. Shorten/],
    ['an unknown backend', ['generate', '--backend', 'abacus'], /--backend.*'abacus'.*tensorflow, reference/],
    ['options that exclude each other', [...generate, '--raw', '--system', 'x'], /--system.*--raw/],
    ['a missing model', [...generate, '-m', join(folder, 'nowhere')], /nowhere.*no such folder/],
    ['a missing .gguf file', ['info', join(folder, 'nowhere.gguf')], /nowhere\.gguf/],
    ['a folder without config.json', [...generate, '-m', 'test/fixtures'], /config\.json/],
    ['an empty raw prompt', ['generate', '', '--raw', '--backend', 'reference', '-m', MODEL], /prompt is empty/],
    ['weights cut short', [...generate, '-m', brokenModel('data_truncated.safetensors')], /model\.safetensors/],
    ['weights that lie about sizes', ['info', brokenModel('shape_product_overflows_u64.safetensors')], /safetensors/],
    ['weights of another model', ['info', brokenModel('odd_plain.safetensors')], /model\.embed_tokens\.weight/],
    [
      'a model that cannot chat',
      ['chat', '--backend', 'reference', '-m', 'test/fixtures/models/llama_untied'],
      /tokenizer/,
    ],
    ['a name that is no hub name', ['pull', 'a/b/c'], /org\/name/],
    ['a folder that holds other things', ['convert', MODEL, 'test/fixtures'], /convert: expected test|fixtures/],
  ])('%s', async (_, args, line) => {
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(line);
    expect(stderr).toMatch(/^vitrine: [^\n]+\n$/);
    expect(stderr).not.toMatch(/ at .*:\d+:\d+/);
  });

  it('prints the stack with --verbose', async () => {
    const { code, stderr } = await runCli(['info', '--verbose', join(folder, 'nowhere')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^vitrine: .*no such folder.*\n[\s\S]*\n {4}at /);
  });

  it('says how to see the stack of an unexpected error', async () => {
    const spy = vi.spyOn(JSON, 'stringify').mockImplementation(() => {
      throw new TypeError('not\na\u001bfunction');
    });
    try {
      const { code, stderr } = await runCli(['info', '--json']);
      expect(code).toBe(1);
      expect(stderr).toBe(
        'vitrine: unexpected error: not a\ufffdfunction. Run it again with --verbose to see where it comes from.\n',
      );
    } finally {
      spy.mockRestore();
    }
  });
});

describe('help', () => {
  it.each(['generate', 'chat', 'info', 'pull', 'convert', 'setup'])('%s --help shows an example', async (command) => {
    const { code, stdout, stderr } = await runCli([command, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^Usage: vitrine ${command} [\\s\\S]*Example:\\n {2}\\$ vitrine ${command}`));
  });

  it('--version gives the version of the package', async () => {
    const { default: manifest } = await import('../../package.json', { with: { type: 'json' } });
    expect(await runCli(['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
  });
});
