import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';

import { openModel } from '../../src/loader/open/open-model.ts';
import { defaultModelFolder } from '../../src/loader/default-model.ts';
import { downloadModel, type DownloadOptions } from '../../src/loader/hub/download.ts';
import { HubError, HubUnreachableError } from '../../src/loader/hub/hub-error.ts';
import { verifyFolder } from '../../src/loader/verify/verify-folder.ts';
import { modelFolder } from '../support/fixtures.ts';
import { COMMIT, FakeHub, type Fault, gitSha1, sha256 } from './fake-hub.ts';

// A hub, or a server in its place, that breaks connections, states wrong facts, or does not end.

// The waits between two attempts take a hundredth of their time.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof import('node:timers/promises')>();
  const shorter: typeof timers.setTimeout = (delay = 0, ...rest) => timers.setTimeout(delay / 100, ...rest);
  return { ...timers, setTimeout: shorter };
});

const WEIGHTS = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * i) % 251));

let hub: FakeHub;
let home: string;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  hub = await new FakeHub().start();
  hub.files.set('config.json', Buffer.from('{"model_type":"llama"}'));
  hub.files.set('tokenizer.json', Buffer.from('{}'));
  hub.files.set('model.safetensors', WEIGHTS);
  home = await mkdtemp(join(tmpdir(), 'vitrine-hub-'));
  env = { HF_HOME: home, HF_ENDPOINT: hub.address('hub') };
});

afterEach(async () => {
  await hub.stop();
  await rm(home, { recursive: true });
});

const repo = (...path: string[]) => join(home, 'hub', 'models--org--model', ...path);
const blob = (bytes = WEIGHTS) => repo('blobs', bytes === WEIGHTS ? sha256(bytes) : gitSha1(bytes));
const download = (options: DownloadOptions = {}) => downloadModel('org/model', { env, ...options });

async function failure(promise: Promise<unknown>): Promise<HubError> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(HubError);
  return error as HubError;
}

const onEvery =
  (answer: (response: ServerResponse) => void): Fault =>
  (_, response) => {
    answer(response);
    return true;
  };
const onWeights =
  (answer: (response: ServerResponse) => void): Fault =>
  ({ host }, response) => {
    if (host === 'cdn') answer(response);
    return host === 'cdn';
  };

/** Sends a piece at an interval until the connection is closed. */
const trickle = (piece: string, everyMs: number) => (response: ServerResponse) => {
  response.writeHead(200);
  const timer = setInterval(() => response.write(piece), everyMs);
  response.on('close', () => {
    clearInterval(timer);
  });
};

describe('a hub that does not end', () => {
  test.each<[string, Fault, RegExp]>([
    ['accepts a request and says nothing', onEvery(() => undefined), /gave no answer.*after \d attempts/],
    ['sends a description byte by byte', onEvery(trickle(' ', 20)), /sent \d+ bytes in 0\.2 s, after \d attempts/],
    [
      'sends weights byte by byte',
      onWeights(trickle('x', 20)),
      /model\.safetensors: .* sent \d+ bytes in 0\.2 s, after/,
    ],
    [
      'stops in the middle of weights',
      onWeights((response) => void response.writeHead(200).write(WEIGHTS.subarray(0, 1000))),
      /model\.safetensors: .* sent \d+ bytes in 0\.2 s/,
    ],
  ])(
    'and %s, is given up',
    async (_, fault, message) => {
      hub.fault = fault;
      const impatient = { ...env, HF_HUB_ETAG_TIMEOUT: '0.2', HF_HUB_DOWNLOAD_TIMEOUT: '0.2' };
      const error = await failure(download({ env: impatient }));
      expect(error).toBeInstanceOf(HubUnreachableError);
      expect(error.message).toMatch(message);
      await expect(readdir(repo('snapshots'))).rejects.toThrow(/ENOENT/);
    },
    20_000,
  );

  test.each<[string, (page: number) => { body: string; next?: string }, RegExp]>([
    ['has no last page', (page) => ({ body: '[]', next: `/p${page}` }), /at most 100 pages/],
    [
      'leads back to a page of its own',
      (page) => ({ body: '[]', next: `/p${page % 2}` }),
      /leads back to an earlier page/,
    ],
    ['continues elsewhere', () => ({ body: '[]', next: 'http://127.0.0.1:9/x' }), /continues at another host/],
    ['is a page of 100 MB', () => ({ body: `["${'a'.repeat(100e6)}"]` }), /at most 16\.0 MB/],
  ])('and whose listing %s, is refused', async (_, answer, message) => {
    let page = 0;
    hub.fault = ({ url }, response) => {
      if (!/\/tree\/|^\/p/.test(url)) return false;
      const { body, next } = answer(page++);
      const link = next && { link: `<${new URL(next, hub.address('hub')).href}>; rel="next"` };
      response.writeHead(200, { 'content-type': 'application/json', ...link }).end(body);
      return true;
    };
    expect((await failure(download())).message).toMatch(message);
  });

  test('is given up, but a slow connection is not: 50 kB/s are enough', async () => {
    // The clock is put forward by 20 ms at each piece.
    let skipped = 0;
    const now = performance.now.bind(performance);
    vi.spyOn(performance, 'now').mockImplementation(() => now() + skipped);
    onTestFinished(() => {
      vi.restoreAllMocks();
    });
    hub.fault = onWeights((response) => {
      response.writeHead(200, { 'content-length': WEIGHTS.length });
      const send = (sent: number): void => {
        skipped += 20;
        response.write(WEIGHTS.subarray(sent, sent + 1000), () => {
          if (sent + 1000 < WEIGHTS.length) setImmediate(send, sent + 1000);
          else response.end();
        });
      };
      send(0);
    });
    const slow = { ...env, HF_HUB_DOWNLOAD_TIMEOUT: '2' };
    const folder = await download({ env: slow });
    expect(sha256(await readFile(join(folder, 'model.safetensors')))).toBe(sha256(WEIGHTS));
    expect(hub.fetches('model.safetensors', 'cdn')).toEqual([undefined]);
  }, 30_000);
});

describe('attempts', () => {
  test('are reported, with the reason', async () => {
    const answers = [429, 503];
    hub.fault = ({ host }, response) => {
      const status = host === 'cdn' ? answers.shift() : undefined;
      if (status !== undefined) response.writeHead(status, { 'retry-after': '0' }).end();
      return status !== undefined;
    };
    const labels = new Set<string>();
    await download({ onProgress: ({ label }) => labels.add(label) });
    const host = hub.address('cdn').slice('http://'.length);
    expect([...labels]).toEqual(
      expect.arrayContaining([
        `${host} answered with status 429; attempt 2 of 5 in 0.0 s`,
        `${host} answered with status 503; attempt 3 of 5 in 0.0 s`,
      ]),
    );
  });

  test('end at once where the server asks for a wait of a day', async () => {
    hub.fault = onEvery((response) => void response.writeHead(429, { 'retry-after': '86400' }).end());
    expect((await failure(download())).message).toMatch(/status 429, and asks for a wait of 86400 s/);
    expect(hub.received.length).toBe(1);
  });
});

describe('a listing', () => {
  const entry = (path: string, size = 1, oid = 'a'.repeat(40)) => ({ type: 'file', path, size, oid });

  test.each([
    ['a name of 300 letters', [entry(`tokenizer${'x'.repeat(300)}.json`)], /a name too long for a file/],
    ['two names that differ in case', [entry('tokenizer_A.json'), entry('tokenizer_a.json')], /two files of one name/],
    ['one name with two contents', [entry('tokenizer_a.json'), entry('tokenizer_a.json', 2)], /two files of one name/],
    ['a number for a name', [{ type: 'file', path: 7, size: 1, oid: 'a'.repeat(40) }], /a file without a name/],
    ['2,100 tokenizers', Array.from({ length: 2100 }, (_, i) => entry(`tokenizer${i}.json`)), /more than 2000 files/],
  ])('with %s is refused', async (_, entries, message) => {
    hub.listed.push(...entries);
    expect((await failure(download())).message).toMatch(message);
    expect(await readdir(home)).toEqual([]);
  });

  test('that lists every file twice, and 5,000 others, is read', async () => {
    for (const [path, bytes] of hub.files)
      if (path !== 'model.safetensors') hub.listed.push(entry(path, bytes.length, gitSha1(bytes)));
    hub.listed.push(...Array.from({ length: 5000 }, (_, i) => entry(`images/${i}.png`)));
    expect((await readdir(await download())).length).toBe(3);
  });

  test('with another size than the server states is an error, and no byte is kept', async () => {
    hub.fault = onWeights((response) => void response.writeHead(200, { 'content-length': 7 }).end('1234567'));
    expect((await failure(download())).message).toMatch(
      /expected 200000 bytes, as the hub lists, got 7 from the server/,
    );
    expect((await readdir(repo('blobs'))).filter((name) => name.includes('incomplete'))).toEqual([]);
  });
});

test.each([
  ['file:///etc/passwd', /refers to "file:\/\/", which is not an https: address/],
  ['http://[bad', /redirects to "http:\/\/\[bad", which is not an address/],
  ['/again', /more than 5 redirects/],
])('a redirect to %s is not followed', async (location, message) => {
  hub.fault = onEvery((response) => void response.writeHead(302, { location }).end());
  expect((await failure(download())).message).toMatch(message);
});

test('a continued download counts the bytes that it has, and asks for the others only', async () => {
  await mkdir(repo('blobs'), { recursive: true });
  await writeFile(`${blob()}.vitrine.incomplete`, WEIGHTS.subarray(0, 150_000));
  const seen: number[] = [];
  await download({ onProgress: ({ loaded }) => seen.push(loaded) });
  expect(seen[0]).toBeGreaterThanOrEqual(150_000);
  expect(hub.fetches('model.safetensors', 'cdn')).toEqual(['bytes=150000-']);
});

test('a download removes the files of killed processes, and not those of running ones', async () => {
  const ended = `${hostname()}-${spawnSync(process.execPath, ['--version']).pid}-a`;
  const running = `${hostname()}-${process.pid}-a`;
  await mkdir(repo('blobs'), { recursive: true });
  const other = repo('blobs', 'b'.repeat(64));
  const cleared = [
    `${other}.${ended}.incomplete`,
    `${other}.vitrine.incomplete`,
    `${blob()}.${ended}.incomplete`,
    repo(`.vitrine-${ended}`),
  ];
  const kept = [
    `${other}.${running}.incomplete`,
    `${other}.incomplete`,
    `${other}.elsewhere-1-a.incomplete`,
    repo(`.vitrine-${running}`),
  ];
  for (const path of [...cleared, ...kept]) await writeFile(path, 'x');
  await download();
  const exists = (path: string) =>
    stat(path).then(
      () => true,
      () => false,
    );
  expect(await Promise.all(cleared.map(exists))).toEqual(cleared.map(() => false));
  expect(await Promise.all(kept.map(exists))).toEqual(kept.map(() => true));
});

describe('a cache that cannot be written', () => {
  /** Runs `body` while `folder` cannot be written; root can always write, so the process has another user meanwhile. */
  async function readOnly(folder: string, body: () => Promise<void>): Promise<void> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
    await chmod(home, 0o755);
    for (const path of [...folders, folder]) await chmod(path, 0o555);
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid!(65534);
    try {
      await body();
    } finally {
      if (isRoot) process.seteuid!(0);
      for (const path of [folder, ...folders]) await chmod(path, 0o755);
    }
  }

  test('is read, whether the hub answers or not', async () => {
    const folder = await download();
    await rm(repo('refs', 'main'));
    await readOnly(join(home, 'hub'), async () => {
      expect(await download()).toBe(folder);
      expect(await download({ revision: COMMIT, env: { ...env, HF_HUB_OFFLINE: '1' } })).toBe(folder);
    });
  });

  test('and lacks a file gives an error that names the path and says what to do', async () => {
    await download();
    await rm(blob());
    await readOnly(join(home, 'hub'), async () => {
      const { message } = await failure(download());
      expect(message).toMatch(/EACCES.*models--org--model\/blobs\/.*Set HF_HUB_CACHE to a folder/);
    });
  });
});

describe('verify', () => {
  test('finds a changed byte and names the file, and a download with it replaces that file', async () => {
    const folder = await download();
    expect(await verifyFolder(folder)).toMatchObject({ files: 3, bytes: 200_024 });
    await writeFile(blob(), Buffer.from(WEIGHTS).fill(1, 70, 71));
    await download(); // its size is right, and its hash is not checked
    await expect(verifyFolder(folder)).rejects.toThrow(
      /model\.safetensors: its 200000 bytes differ from the published file: expected checksum [0-9a-f]{64}, got [0-9a-f]{64}\. `vitrine pull org\/model --verify`/,
    );
    const { length } = hub.fetches('config.json', 'hub');
    await download({ verify: true });
    expect(await verifyFolder(folder)).toMatchObject({ files: 3 });
    expect(hub.fetches('config.json', 'hub').length).toBe(length);
  });

  test('finds a changed small file, a missing blob, an additional file, and a link to another blob', async () => {
    const folder = await download();
    const tokenizer = blob(Buffer.from('{}'));
    await writeFile(tokenizer, '[]');
    await expect(verifyFolder(folder)).rejects.toThrow(/tokenizer\.json: its 2 bytes/);
    await rm(tokenizer);
    await expect(verifyFolder(folder)).rejects.toThrow(/tokenizer\.json: ENOENT/);
    await writeFile(tokenizer, '{}');
    await writeFile(join(folder, 'extra.json'), '{"a":1}');
    await expect(verifyFolder(folder)).rejects.toThrow(/extra\.json: .*that of a blob in the cache/);
    await rm(join(folder, 'extra.json'));
    await rm(join(folder, 'tokenizer.json'));
    await symlink(`../../blobs/${gitSha1(hub.files.get('config.json')!)}`, join(folder, 'tokenizer.json'));
    await download();
    expect(await readFile(join(folder, 'tokenizer.json'), 'utf8')).toBe('{}');
  });

  test('checks the SHA256SUMS of another folder, and says if there is none', async () => {
    await expect(verifyFolder(home)).rejects.toThrow(/cannot be verified, because no checksums of its files are known/);
    await writeFile(join(home, 'config.json'), '{}');
    await writeFile(join(home, 'SHA256SUMS'), `${sha256(Buffer.from('{}'))}  config.json\n`);
    expect(await verifyFolder(home)).toMatchObject({ files: 1, bytes: 2 });
    await writeFile(join(home, 'tokenizer.json'), '{}');
    await expect(verifyFolder(home)).rejects.toThrow(/tokenizer\.json: has no checksum in SHA256SUMS/);
    await writeFile(join(home, 'SHA256SUMS'), `${sha256(Buffer.from('{}'))}  ../config.json\n`);
    await expect(verifyFolder(home)).rejects.toThrow(/SHA256SUMS: expected lines of a SHA-256 and a file's name/);
  });
});

test('the default model is opened from the copy of the set-up where the hub does not answer', async () => {
  vi.stubEnv('VITRINE_CACHE', join(home, 'vitrine'));
  vi.stubEnv('HF_HOME', home);
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const name = 'HuggingFaceTB/SmolLM2-135M-Instruct';
  await expect(openModel(name)).rejects.toThrow(/HF_HUB_OFFLINE is set/);
  const folder = join(home, 'vitrine/models/v1/SmolLM2-135M-Instruct-Q4_1');
  await mkdir(dirname(folder), { recursive: true });
  await symlink(modelFolder('llama_gqa_tied'), folder);
  await symlink(folder, defaultModelFolder());
  const { checkpoint, notes } = await openModel(name);
  await checkpoint.close();
  expect(notes?.join()).toMatch(/^a copy made of 4-bit weights, from the set-up, is used for .*HF_HUB_OFFLINE/);
  vi.stubEnv('HF_HUB_OFFLINE', '');
  vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:2');
  const unreachable = await openModel(name);
  await unreachable.checkpoint.close();
  expect(unreachable.notes?.join()).toMatch(/cannot be reached/);
  await expect(openModel(name, { revision: 'main' })).rejects.toThrow(HubUnreachableError);
  await expect(openModel('HuggingFaceTB/SmolLM2-360M-Instruct')).rejects.toThrow(HubUnreachableError);
});
