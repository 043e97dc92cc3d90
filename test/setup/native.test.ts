import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeComplete } from '../../src/loader/files/make-complete.ts';
import { installNative } from '../../src/setup/native.ts';
import { nativeFolder } from '../../src/tensor/tensorflow/location.ts';
import { environment, failing, hanging, serve, tarball, temporaryFolder, trusting } from './fake-commands.ts';

// Only Linux on x64 has all three native builds, so the fallbacks are tested there.
const builds = 'tf-builds/pre-built-binary/napi-v8/4.22.0/CPU-linux-4.22.0.tar.gz';
const libraries = 'tensorflow/libtensorflow/libtensorflow-cpu-linux-x86_64-2.9.1.tar.gz';
const prebuiltFiles = () => ({
  [`/${builds}`]: tarball('napi-v8/tfjs_binding.node'),
  [`/${libraries}`]: tarball('lib/libtensorflow.so.2', 'include/c_api.h'),
});

const trustingAll = (files: Record<string, Buffer>) => trusting(...Object.values(files));

const compilerOnly = { 'g++': 'exit 0' };

test.each([
  ['no compiler', {}, /^a C\+\+ compiler is missing \(for example `apt-get install g\+\+`/],
  ['no pip', compilerOnly, /^pip is missing \(install Python 3 with pip/],
  [
    'a pip that finds nothing',
    { ...compilerOnly, pip3: failing('ERROR: No matching distribution found') },
    /^pip3 failed \(exit code 1\): ERROR: No matching distribution found/,
  ],
])('uses the prebuilt files with %s', async (_, commands, problem) => {
  const cache = temporaryFolder();
  const files = prebuiltFiles();
  const env = { ...environment(commands), ...trustingAll(files) };
  const result = await installNative({ cache, gpu: false, env, prebuiltUrl: await serve(files) });
  expect(result).toEqual({ build: 'prebuilt', problem: expect.stringMatching(problem) as string });
  // The addon looks for its libraries in ../../deps/lib.
  expect(existsSync(join(nativeFolder('prebuilt', cache), 'lib/napi-v8/tfjs_binding.node'))).toBe(true);
  expect(existsSync(join(nativeFolder('prebuilt', cache), 'deps/lib/libtensorflow.so.2'))).toBe(true);
  expect(readdirSync(join(cache, 'native/v1'))).toHaveLength(1);
});

test.each([
  ['that are refused', () => ({}), /HTTP status 404/],
  ['that are no archive', () => ({ [`/${builds}`]: Buffer.from('<html>') }), /tar failed/],
  [
    'whose addon does not load',
    () => ({ ...prebuiltFiles(), [`/${builds}`]: tarball('napi-v8/LICENSE') }),
    /node.* failed/,
  ],
])('prebuilt files %s leave nothing behind, and the result says so in one line', async (_, served, reason) => {
  const cache = temporaryFolder();
  const files = served();
  const env = { ...environment({}), ...trustingAll(files) };
  const { build, problem } = await installNative({ cache, gpu: false, env, prebuiltUrl: await serve(files) });
  expect(build).toBeUndefined();
  expect(problem).toMatch(/^a C\+\+ compiler is missing/);
  expect(problem).toMatch(reason);
  expect(problem).not.toContain('\n');
  expect(readdirSync(join(cache, 'native/v1'))).toEqual([]);
});

test('does not unpack prebuilt files without a trusted checksum', async () => {
  const cache = temporaryFolder();
  const prebuiltUrl = await serve(prebuiltFiles());
  const { build, problem } = await installNative({ cache, gpu: false, env: environment({}), prebuiltUrl });
  expect(build).toBeUndefined();
  expect(problem).toMatch(/CPU-linux-4\.22\.0\.tar\.gz: expected sha256 \(none is pinned\), got [0-9a-f]{64}\./);
  expect(readdirSync(join(cache, 'native/v1'))).toEqual([]);
});

test('with a GPU, tries the builds for CUDA, for CPUs and the prebuilt one in this order', async () => {
  const env = environment({ ...compilerOnly, pip: failing('ERROR: none') });
  const { problem = '' } = await installNative({
    cache: temporaryFolder(),
    gpu: true,
    env,
    prebuiltUrl: await serve({}),
  });
  expect(problem.split('; ')).toEqual([
    expect.stringContaining('pip failed'),
    expect.stringContaining('pip failed'),
    expect.stringContaining('404'),
  ]);
});

test('an abort ends the set-up at once and leaves nothing behind', async () => {
  const cache = temporaryFolder();
  const abort = new AbortController();
  const installing = installNative({
    cache,
    gpu: false,
    env: environment({ ...compilerOnly, pip: hanging }),
    signal: abort.signal,
    // pip has been started by the time of the first report.
    onProgress: () => {
      abort.abort();
    },
  });
  await expect(installing).rejects.toThrow('aborted');
  expect(readdirSync(join(cache, 'native/v1'))).toEqual([]);
});

test('removes the folder of a killed set-up, and not that of a running one', async () => {
  const cache = temporaryFolder();
  const folder = join(cache, 'target');
  const { pid: ended } = spawnSync(process.execPath, ['--version']);
  let running = '';
  await makeComplete(folder, async (temporary) => {
    mkdirSync(temporary);
    running = temporary;
    mkdirSync(temporary.replace(`-${process.pid}-`, `-${ended}-`));
    await makeComplete(folder, async (other) => {
      await Promise.resolve();
      mkdirSync(other);
      writeFileSync(join(other, 'file'), 'complete');
      expect(readdirSync(cache).filter((name) => name.endsWith('.tmp'))).toHaveLength(2);
      expect(existsSync(running)).toBe(true);
    });
  });
  // The first that was complete stays.
  expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('complete');
  expect(readdirSync(cache)).toEqual(['target']);
});

test('a set-up that fails half-way leaves nothing behind', async () => {
  const folder = join(temporaryFolder(), 'target');
  const half = makeComplete(folder, async (temporary) => {
    await Promise.resolve();
    mkdirSync(temporary);
    writeFileSync(join(temporary, 'half'), '');
    throw new Error('no space left');
  });
  await expect(half).rejects.toThrow('no space left');
  expect(readdirSync(join(folder, '..'))).toEqual([]);
});

test('two set-ups at the same time give the same complete build', async () => {
  const cache = temporaryFolder();
  const files = prebuiltFiles();
  const prebuiltUrl = await serve(files);
  const env = { ...environment({}), ...trustingAll(files) };
  const install = () => installNative({ cache, gpu: false, env, prebuiltUrl });
  const [one, other] = await Promise.all([install(), install()]);
  expect(one.build).toBe('prebuilt');
  expect(other).toEqual(one);
  expect(readdirSync(join(cache, 'native/v1'))).toHaveLength(1);
});
