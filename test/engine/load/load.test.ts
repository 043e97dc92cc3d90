import { createHash } from 'node:crypto';
import { cp, mkdtemp, open, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { load } from '../../../src/engine/load/load.ts';
import { openModel } from '../../../src/loader/open/open-model.ts';
import { MODEL, runCli } from '../../cli/run-cli.ts';

let parent: string;
let folder: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'vitrine-load-'));
  folder = join(parent, 'model');
  await cp(MODEL, folder, { recursive: true });
});
afterEach(() => rm(parent, { recursive: true }));

const commands = (...flags: string[]) =>
  [
    ['generate', 'hi', '--model', folder, '--max-tokens', '1', '--backend', 'reference'],
    ['info', folder],
  ].map((command) => [...command, ...flags]);

describe('verify', () => {
  beforeEach(async () => {
    const lines = (await readdir(folder)).map(async (name) => {
      const digest = createHash('sha256').update(await readFile(join(folder, name)));
      return `${digest.digest('hex')}  ${name}\n`;
    });
    await writeFile(join(folder, 'SHA256SUMS'), (await Promise.all(lines)).join(''));
  });

  it('loads what is as published, and says so', async () => {
    const model = await load(folder, { verify: true, backend: 'reference' });
    expect(model.files.notes).toContainEqual(expect.stringMatching(/^verified 5 files by their checksums/));
    model.dispose();
  });

  it('refuses weights of which one bit is another, by the library and by the commands', async () => {
    const weights = await open(join(folder, 'model.safetensors'), 'r+');
    const { buffer } = await weights.read(Buffer.alloc(1), 0, 1, 200_000);
    buffer[0] ^= 1;
    await weights.write(buffer, 0, 1, 200_000);
    await weights.close();
    const refusal = /model\.safetensors: its \d+ bytes differ from the published file/;
    await expect(load(folder, { verify: true, backend: 'reference' })).rejects.toThrow(refusal);
    await expect(openModel(folder, { verify: true })).rejects.toThrow(refusal);
    for (const command of commands('--verify')) {
      expect(await runCli(command)).toMatchObject({ code: 1, stderr: expect.stringMatching(refusal) as string });
    }
    for (const command of commands()) expect(await runCli(command)).toMatchObject({ code: 0 });
  });
});

describe('allowLinks', () => {
  it('follows a link out of the folder, with a note, by the library and by the commands', async () => {
    await rename(join(folder, 'model.safetensors'), join(parent, 'elsewhere'));
    await symlink('../elsewhere', join(folder, 'model.safetensors'));
    const note = /model\.safetensors is a link to/;
    await expect(load(folder, { backend: 'reference' })).rejects.toThrow(/model\.safetensors: links to/);
    const model = await load(folder, { allowLinks: true, backend: 'reference' });
    expect(model.files.notes).toContainEqual(expect.stringMatching(note));
    model.dispose();
    for (const command of commands()) expect(await runCli(command)).toMatchObject({ code: 1 });
    for (const command of commands('--allow-links')) {
      const { code, stdout, stderr } = await runCli(command);
      expect([code, stdout + stderr]).toEqual([0, expect.stringMatching(note)]);
    }
  });
});
