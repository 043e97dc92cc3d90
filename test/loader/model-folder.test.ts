import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import { LoadError } from '../../src/loader/load-error.ts';
import { openSafetensors } from '../../src/loader/safetensors/open-safetensors.ts';
import { writeSafetensors } from '../../src/loader/safetensors/write-safetensors.ts';
import { ModelFolder } from '../../src/loader/files/model-folder.ts';
import { loadTokenizer } from '../../src/loader/folder/load-tokenizer.ts';

let parent: string;
let folder: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'vitrine-'));
  folder = join(parent, 'model');
  await mkdir(folder);
  await writeFile(join(folder, 'config.json'), '{}');
  await writeSafetensors(join(folder, 'model.safetensors'), {
    a: { dtype: 'U8', shape: [64], data: new Uint8Array(64) },
  });
  await writeFile(join(parent, 'secret'), 'PRIVATE KEY');
});
afterEach(() => rm(parent, { recursive: true }));

/** Targets of links that lead out of the folder, by their kind. */
const TARGETS: readonly (readonly [string, () => Promise<string>])[] = [
  ['a file beside the folder', () => Promise.resolve('../secret')],
  ['an absolute path', () => Promise.resolve('/etc/passwd')],
  ['a file of the process', () => Promise.resolve('/proc/self/environ')],
  ['a device', () => Promise.resolve('/dev/zero')],
  ['a folder', () => Promise.resolve('..')],
  [
    'a chain of links',
    async () => {
      await symlink('/etc/passwd', join(parent, 'first'));
      await symlink('../first', join(folder, 'second'));
      return 'second';
    },
  ],
  [
    'a linked folder within',
    async () => {
      await symlink('..', join(folder, 'inner'));
      return 'inner/secret';
    },
  ],
];
const FILES = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
];

it.each(FILES.flatMap((name) => TARGETS.map(([kind, makeTarget]) => ({ name, kind, makeTarget }))))(
  'refuses $name as a link to $kind, and the error does not quote its contents',
  async ({ name, makeTarget }) => {
    await rm(join(folder, name), { force: true });
    await symlink(await makeTarget(), join(folder, name));
    const error = (await openFolder(folder).catch((reason: unknown) => reason)) as Error;
    expect(error.message).toMatch(/outside the model's folder\. Copy the file .*--allow-links/);
    expect(error.message).not.toMatch(/PRIVATE|root:/);
    if (name.includes('token') || name.includes('template'))
      await expect(loadTokenizer(folder)).rejects.toThrow(/outside/);
  },
);

it('refuses an index as a link out of the folder, circular links and broken links', async () => {
  await rm(join(folder, 'model.safetensors'));
  await symlink('../secret', join(folder, 'model.safetensors.index.json'));
  await expect(openFolder(folder)).rejects.toThrow(/outside/);
  await symlink('b.json', join(folder, 'a.json'));
  await symlink('a.json', join(folder, 'b.json'));
  await symlink('gone', join(folder, 'c.json'));
  const model = new ModelFolder(folder);
  await expect(model.open('a.json')).rejects.toThrow(LoadError);
  await expect(model.readIfThere('c.json', 10)).rejects.toThrow(/ENOENT/);
  expect(await model.readIfThere('d.json', 10)).toBeUndefined();
});

it('follows links within the folder, links to the folder, and others with allowLinks', async () => {
  await rename(join(folder, 'model.safetensors'), join(parent, 'elsewhere.safetensors'));
  await symlink('../elsewhere.safetensors', join(folder, 'model.safetensors'));
  await rename(join(folder, 'config.json'), join(folder, 'real.json'));
  await symlink('real.json', join(folder, 'config.json'));
  await symlink(folder, join(parent, 'link'));
  await expect(openFolder(join(parent, 'link'))).rejects.toThrow(/model\.safetensors: links to/);
  const { checkpoint, notes } = await openFolder(join(parent, 'link'), { allowLinks: true });
  expect([...checkpoint.tensors.keys()]).toEqual(['a']);
  expect(notes).toEqual([`model.safetensors is a link to "${join(parent, 'elsewhere.safetensors')}".`]);
  await checkpoint.close();
});

it('refuses a pipe without waiting, also as the target of a link', async () => {
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  await symlink('pipe', join(folder, 'tokenizer.json'));
  await expect(openFolder(folder)).rejects.toThrow(/expected a regular file, got a pipe/);
});

it('reports a file that is written to while it is read, even if its size stays the same', async () => {
  const path = join(folder, 'model.safetensors');
  const write = async (): Promise<void> => {
    const handle = await open(path, 'r+');
    await handle.write(Uint8Array.of(7), 0, 1, 100);
    await handle.close();
  };
  const file = await openSafetensors(path);
  await file.read('a');
  await new Promise((resolve) => setTimeout(resolve, 20)); // The resolution of time stamps is about 10 ms.
  await write();
  await expect(file.read('a')).rejects.toThrow(
    /model\.safetensors: expected the file as it was when it was opened .* something wrote to it/,
  );
  await file.close();

  const again = await openSafetensors(path);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await write();
  await utimes(path, new Date(0), new Date(0)); // This resets the times of access and modification, but not that of the change.
  await expect(again.read('a')).rejects.toThrow(/something wrote to it/);
  await again.close();
});

it('reads the earlier contents of a file that was replaced or removed after it was opened', async () => {
  const path = join(folder, 'model.safetensors');
  const file = await openSafetensors(path);
  await writeSafetensors(path, { a: { dtype: 'U8', shape: [64], data: new Uint8Array(64).fill(1) } });
  expect((await file.read('a')).data[0]).toBe(0);
  await rm(path);
  expect((await file.read('a')).data[0]).toBe(0);
  await file.close();
});
