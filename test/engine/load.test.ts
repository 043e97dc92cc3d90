import { createHash } from 'node:crypto';
import { appendFile, cp, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { load } from '../../src/index.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/models/llama_gqa_tied');
let parent: string;
let folder: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'vitrine-load-'));
  folder = join(parent, 'model');
  await cp(FIXTURE, folder, { recursive: true });
});
afterEach(() => rm(parent, { recursive: true }));

const open = (options = {}) => load(folder, { backend: 'reference', ...options });

it('follows a link out of the folder where that is allowed, and notes it', async () => {
  const weights = join(parent, 'elsewhere.safetensors');
  await rename(join(folder, 'model.safetensors'), weights);
  await symlink(weights, join(folder, 'model.safetensors'));
  await expect(open()).rejects.toThrow(/outside the model's folder/);
  const model = await open({ allowLinks: true });
  expect(model.files.notes).toContain(`model.safetensors is a link to "${weights}".`);
  model.dispose();
});

it('verifies the files before they are used where that is asked for', async () => {
  await expect(open({ verify: true })).rejects.toThrow(/SHA256SUMS/);
  const lines = (await readdir(folder)).map(async (name) => {
    const hash = createHash('sha256').update(await readFile(join(folder, name)));
    return `${hash.digest('hex')}  ${name}\n`;
  });
  await writeFile(join(folder, 'SHA256SUMS'), (await Promise.all(lines)).join(''));
  const model = await open({ verify: true });
  expect(model.files.notes?.join()).toMatch(/verified 5 files/);
  model.dispose();
  await appendFile(join(folder, 'generation_config.json'), ' ');
  (await open()).dispose();
  await expect(open({ verify: true })).rejects.toThrow(/generation_config\.json/);
});
