import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { defaultModelFolder } from '../../src/setup/set-up.ts';
import { MODEL, runCli, runJson } from './run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'vitrine-commands-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
// Without native TensorFlow, which `info` would load only to describe it.
beforeEach(() => {
  vi.stubEnv('VITRINE_CACHE', join(folder, 'cache'));
});
afterEach(() => {
  vi.unstubAllEnvs();
});

describe('vitrine pull', () => {
  const commit = '0123456789abcdef0123456789abcdef01234567';
  const snapshot = join(folder, 'hub', 'models--org--tiny', 'snapshots', commit);
  cpSync(MODEL, snapshot, { recursive: true });
  mkdirSync(join(snapshot, '../../refs'));
  writeFileSync(join(snapshot, '../../refs/main'), commit);

  it('prints the folder of a model in the cache', async () => {
    vi.stubEnv('HF_HUB_CACHE', join(folder, 'hub'));
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await runCli(['pull', 'org/tiny'])).toEqual({ code: 0, stdout: `${snapshot}\n`, stderr: '' });
    expect(await runJson(['pull', 'org/tiny', '--json'])).toEqual({ model: 'org/tiny', folder: snapshot });
    expect(await runJson(['info', 'org/tiny', '--json'])).toMatchObject({ model: { parameters: 106_816 } });
  });

  it('names the missing revision in one line', async () => {
    vi.stubEnv('HF_HUB_CACHE', join(folder, 'hub'));
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const { code, stderr } = await runCli(['pull', 'org/tiny', '--revision', 'v2']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^vitrine: org\/tiny \(v2\): HF_HUB_OFFLINE[^\n]*\n$/);
  });
});

describe('vitrine convert', () => {
  it.each([
    ['test/fixtures/gguf/qwen2-q8_0.gguf', 'f32', 'F32'],
    [MODEL, 'f16', 'F16'],
  ])('writes %s as %s, which info can read', async (source, dtype, format) => {
    const out = join(folder, `out-${dtype}`);
    const { code, stdout } = await runCli(['convert', source, out, '--dtype', dtype]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${resolve(out)}\n` });
    const { model } = (await runJson(['info', out, '--json'])) as { model: { formats: object } };
    expect(Object.keys(model.formats)).toEqual([format]);
  });

  it('leaves nothing behind after Ctrl-C', async () => {
    const out = join(folder, 'interrupted');
    const running = runCli(['convert', MODEL, out]);
    process.emit('SIGINT');
    expect((await running).code).toBe(130);
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(folder).filter((name) => name.startsWith('interrupted'))).toEqual([]);
  });
});

describe('vitrine without a model', () => {
  it('generates from the built-in prompt with the default model', async () => {
    mkdirSync(join(defaultModelFolder(), '..'), { recursive: true });
    symlinkSync(resolve(MODEL), defaultModelFolder());
    const flags = ['--backend', 'reference', '--max-tokens', '3', '--seed', '1', '--ignore-eos', '--json'];
    const { tokens } = (await runJson(['generate', ...flags])) as { tokens: number[] };
    expect(tokens).toHaveLength(3);
  });
});
