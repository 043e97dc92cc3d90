import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../cli/run-cli.ts';
import { load } from '../../src/engine/load.ts';
import { modelInfo } from '../../src/cli/info/model.ts';

const MODEL = 'test/fixtures/models/llama_gqa_tied';
const WEIGHTS = 'model.safetensors';

let parent: string;
let folder: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'vitrine-load-'));
  folder = join(parent, 'model');
  await cp(MODEL, folder, { recursive: true });
});
afterEach(() => rm(parent, { recursive: true }));

/** What opens a model: each has to hand over every option that says how. */
const OPENERS = [
  ['load', async (options: object) => (await load(folder, { backend: 'reference', ...options })).files.notes ?? []],
  ['vitrine info', async (options: object) => (await modelInfo(folder, options)).notes],
] as const;

async function putWeightsElsewhere(): Promise<void> {
  await rename(join(folder, WEIGHTS), join(parent, WEIGHTS));
  await symlink(join('..', WEIGHTS), join(folder, WEIGHTS));
}

async function sumFiles(): Promise<void> {
  const lines = await Promise.all(
    (await readdir(folder)).map(async (name) => {
      const digest = createHash('sha256').update(await readFile(join(folder, name))).digest('hex'); // prettier-ignore
      return `${digest}  ${basename(name)}\n`;
    }),
  );
  await writeFile(join(folder, 'SHA256SUMS'), lines.join(''));
}

describe.each(OPENERS)('%s', (_, open) => {
  it('follows links that lead out of the folder where allowLinks says so', async () => {
    await putWeightsElsewhere();
    await expect(open({})).rejects.toThrow(/outside the model's folder/);
    expect(await open({ allowLinks: true })).toContainEqual(expect.stringContaining(`${WEIGHTS} is a link to`));
  });

  it('hashes every file where verify says so, and refuses one that was changed', async () => {
    await sumFiles();
    expect(await open({ verify: true })).toContainEqual(
      expect.stringMatching(/^verified \d+ files by their checksums/),
    );
    await writeFile(join(folder, 'generation_config.json'), '{ "do_sample": true }');
    await open({});
    await expect(open({ verify: true })).rejects.toThrow(/generation_config\.json: .* not those that were published/);
  });
});

it('the flags of a command say so too', async () => {
  await putWeightsElsewhere();
  const args = ['generate', 'Hi', '--raw', '--max-tokens', '1', '--backend', 'reference', '--model', folder];
  expect((await runCli(args)).stderr).toMatch(/outside the model's folder/);
  const linked = await runCli([...args, '--allow-links']);
  expect([linked.code, linked.stderr]).toEqual([0, expect.stringContaining(`note: ${WEIGHTS} is a link to`)]);
  expect((await runCli([...args, '--allow-links', '--verify'])).stderr).toMatch(/cannot be verified/);
});
