import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { downloadModel, type DownloadOptions } from '../../src/loader/hub/download.ts';
import { HubError, HubUnreachableError } from '../../src/loader/hub/hub-error.ts';
import { COMMIT, FakeHub, type Fault, gitSha1, sha256 } from './fake-hub.ts';

// The waits between two attempts take a hundredth of their time.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof import('node:timers/promises')>();
  const shorter: typeof timers.setTimeout = (delay = 0, ...rest) => timers.setTimeout(delay / 100, ...rest);
  return { ...timers, setTimeout: shorter };
});

const WEIGHTS = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * i) % 251));
const HALF = 400_000;
const SECRET = 'not-to-be-seen';

let hub: FakeHub;
let home: string;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  hub = await new FakeHub().start();
  hub.files.set('README.md', Buffer.from('not needed'));
  hub.files.set('config.json', Buffer.from('{"model_type":"llama"}'));
  hub.files.set('tokenizer.json', Buffer.from('{}'));
  hub.files.set('additional_chat_templates/tool_use.jinja', Buffer.from('{{ tools }}'));
  hub.files.set('onnx/model.safetensors', Buffer.from('not needed'));
  hub.files.set('consolidated.safetensors', Buffer.from('the same weights again'));
  hub.files.set('pytorch_model.bin', Buffer.from('not needed'));
  hub.files.set('model.safetensors', WEIGHTS);
  home = await mkdtemp(join(tmpdir(), 'vitrine-hub-'));
  env = { HF_HOME: home, HF_ENDPOINT: hub.address('hub') };
});

afterEach(async () => {
  await hub.stop();
  await rm(home, { recursive: true });
});

const repo = (...path: string[]) => join(home, 'hub', 'models--org--model', ...path);
const blob = () => repo('blobs', sha256(WEIGHTS));
const partial = () => `${blob()}.vitrine.incomplete`;
const download = (options: DownloadOptions = {}) => downloadModel('org/model', { env, ...options });
const weightsOf = (snapshot: string) => readFile(join(snapshot, 'model.safetensors'));

async function failure(promise: Promise<unknown>): Promise<Error> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(HubError);
  expect((error as HubError).message).not.toContain(SECRET);
  return error as HubError;
}

/** Answers requests for the weights by the given functions, in turn, and later ones as the fake hub does. */
function answers(...faults: ((response: ServerResponse) => void)[]): Fault {
  return ({ host, url }, response) => {
    if (host !== 'cdn' || !url.endsWith('/model.safetensors')) return false;
    const fault = faults.shift();
    fault?.(response);
    return fault !== undefined;
  };
}

const half = (response: ServerResponse) => {
  response.writeHead(200, { 'content-length': WEIGHTS.length }).write(WEIGHTS.subarray(0, HALF));
};
/** Waits until a download of the weights has written as many bytes. */
const hasWritten = (bytes: number): Promise<void> =>
  vi.waitFor(
    async () => {
      const names = (await readdir(repo('blobs'))).filter((name) => name.startsWith(sha256(WEIGHTS)));
      const sizes = await Promise.all(names.map(async (name) => (await stat(repo('blobs', name))).size));
      expect(Math.max(...sizes)).toBeGreaterThanOrEqual(bytes);
    },
    { interval: 5, timeout: 20_000 },
  );
const dropHalfWay = (response: ServerResponse) => {
  half(response);
  const drop = () => response.destroy();
  void hasWritten(HALF).then(drop, drop);
};
const whole = (response: ServerResponse) => void response.writeHead(200).end(WEIGHTS);

async function leavePartial(bytes: Uint8Array, path = partial()): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

describe('the cache', () => {
  test('has the layout of huggingface_hub, and only the files that a model needs', async () => {
    const snapshot = await download();
    expect(snapshot).toBe(repo('snapshots', COMMIT));
    const small = ['additional_chat_templates/tool_use.jinja', 'config.json', 'tokenizer.json'];
    const names = (await readdir(snapshot, { recursive: true })).sort();
    expect(names).toEqual(['additional_chat_templates', ...small, 'model.safetensors'].sort());
    expect(sha256(await weightsOf(snapshot))).toBe(sha256(WEIGHTS));
    expect(await readlink(join(snapshot, 'model.safetensors'))).toBe(`../../blobs/${sha256(WEIGHTS)}`);
    for (const name of small) {
      const up = name.includes('/') ? '../../../' : '../../';
      expect(await readlink(join(snapshot, name))).toBe(`${up}blobs/${gitSha1(hub.files.get(name)!)}`);
      expect(await readFile(join(snapshot, name))).toEqual(hub.files.get(name));
    }
    expect((await readdir(repo('blobs'))).length).toBe(4);
    expect(await readFile(repo('refs', 'main'), 'utf8')).toBe(COMMIT);
  });

  test('is used: complete files are not downloaded again, truncated ones are', async () => {
    await leavePartial(WEIGHTS, blob());
    const tokenizer = hub.files.get('tokenizer.json')!;
    await leavePartial(tokenizer.subarray(1), repo('blobs', gitSha1(tokenizer)));
    expect(sha256(await weightsOf(await download()))).toBe(sha256(WEIGHTS));
    await download();
    expect(hub.fetches('model.safetensors', 'hub')).toEqual([]);
    expect(hub.fetches('tokenizer.json', 'hub').length).toBe(1);
    expect(await readFile(repo('snapshots', COMMIT, 'tokenizer.json'))).toEqual(tokenizer);
  });

  test.each([
    ['a', { HF_HUB_CACHE: 'a', HUGGINGFACE_HUB_CACHE: 'b', HF_HOME: 'c', XDG_CACHE_HOME: 'd', HOME: 'e' }],
    ['b', { HUGGINGFACE_HUB_CACHE: 'b', HF_HOME: 'c', XDG_CACHE_HOME: 'd', HOME: 'e' }],
    ['c/hub', { HF_HUB_CACHE: '', HF_HOME: 'c', XDG_CACHE_HOME: 'd', HOME: 'e' }],
    ['d/huggingface/hub', { XDG_CACHE_HOME: 'd', HOME: 'e' }],
    ['e/.cache/huggingface/hub', { HOME: 'e' }],
  ])('is %s for %j', async (expected, variables) => {
    const paths = Object.entries(variables).map(([name, value]): [string, string] => [
      name,
      value && join(home, value),
    ]);
    const snapshot = await download({ env: { HF_ENDPOINT: hub.address('hub'), ...Object.fromEntries(paths) } });
    expect(snapshot).toBe(join(home, expected, 'models--org--model', 'snapshots', COMMIT));
  });

  test('gets one correct copy when several downloads run at once', async () => {
    hub.fault = answers(dropHalfWay, dropHalfWay);
    const snapshots = await Promise.all([download(), download(), download()]);
    for (const snapshot of snapshots) expect(sha256(await weightsOf(snapshot))).toBe(sha256(WEIGHTS));
    expect((await readdir(repo('blobs'))).length).toBe(4);
    expect((await readdir(repo())).sort()).toEqual(['blobs', 'refs', 'snapshots']);
  });

  test('may hold partial downloads: those of ended processes are continued, those of running ones are left alone', async () => {
    const ended = spawnSync(process.execPath, ['--version']).pid;
    await leavePartial(WEIGHTS.subarray(0, HALF), `${blob()}.${hostname()}-${ended}-a.incomplete`);
    const running = [`${hostname()}-${process.pid}-a`, `other-host-${ended}-a`].map(
      (owner) => `${blob()}.${owner}.incomplete`,
    );
    for (const path of running) await leavePartial(WEIGHTS.subarray(0, 9), path);
    expect(sha256(await weightsOf(await download()))).toBe(sha256(WEIGHTS));
    expect(hub.fetches('model.safetensors', 'cdn')).toEqual([`bytes=${HALF}-`]);
    const partials = (await readdir(repo('blobs'))).filter((name) => name.endsWith('.incomplete'));
    expect(partials.sort()).toEqual(running.map((path) => basename(path)).sort());
  });
});

describe('the files of a model', () => {
  test('are the index and its shards, where the weights are in several files', async () => {
    hub.files.delete('model.safetensors');
    const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    const index = { weight_map: { a: shards[0], b: shards[1] } };
    hub.files.set('model.safetensors.index.json', Buffer.from(JSON.stringify(index)));
    for (const name of shards) hub.files.set(name, Buffer.from(name));
    const names = await readdir(await download());
    expect(names.filter((name) => name.includes('safetensors')).sort()).toEqual([
      ...shards,
      'model.safetensors.index.json',
    ]);
    await rm(repo('snapshots', COMMIT, shards[1]));
    const offline = download({ env: { ...env, HF_HUB_OFFLINE: '1' } });
    expect((await failure(offline)).message).toMatch(/lacks "model-00002-of-00002\.safetensors"/);
  });

  test.each([
    [['a.Q4_0.gguf', 'a.Q8_0.gguf'], /only GGUF: "a\.Q4_0\.gguf", "a\.Q8_0\.gguf"/],
    [['config.json', 'pytorch_model.bin'], /only pickles.*"pytorch_model\.bin"/],
    [['README.md'], /it has "README\.md"/],
    [['model.safetensors'], /no config\.json/],
  ])('are missing from %j', async (names, message) => {
    hub.files.clear();
    for (const name of names) hub.files.set(name, Buffer.from(name));
    expect((await failure(download())).message).toMatch(message);
  });

  test.each([
    ...[
      '../config.json',
      'a/../../config.json',
      '/config.json',
      'C:config.json',
      '..\\config.json',
      'tokenizer\n.json',
    ],
    ...['//host/model.safetensors', 'tokenizer\0.json', './config.json'],
  ])('are refused when the hub lists the name %j', async (path) => {
    hub.listed.push({ type: 'file', path, size: 1, oid: 'a'.repeat(40) });
    expect((await failure(download())).message).toMatch(/could lead out/);
    expect(await readdir(home)).toEqual([]);
  });

  test.each([
    ['../../x', 1],
    ['A'.repeat(40), 1],
    [undefined, 1],
    ['a'.repeat(40), -1],
    ['a'.repeat(40), 1.5],
  ])('are refused when one has hash %j and size %d', async (oid, size) => {
    hub.listed.push({ type: 'file', path: 'tokenizer_config.json', size, oid });
    expect((await failure(download())).message).toMatch(/tokenizer_config\.json" with size/);
  });

  test('are refused when the disk has too little room, with both numbers of bytes', async () => {
    hub.listed.push({ type: 'file', path: 'tokenizer_config.json', size: 2 ** 52, oid: 'a'.repeat(40) });
    expect((await failure(download())).message).toMatch(
      /expected 4503599628\d+ bytes \(4503599\.63 GB\) free in .*hub, got \d+/,
    );
  });
});

describe('the hub', () => {
  test.each([
    ['HF_TOKEN', { HF_TOKEN: `${SECRET}\n` }, SECRET],
    ['the token file', {}, 'of-the-file'],
    ['HF_TOKEN_PATH', { HF_TOKEN_PATH: 'other' }, 'of-another-file'],
  ])('gets the token of %s, and the store of large files does not', async (_, variables, token) => {
    await writeFile(join(home, 'token'), 'of-the-file\n');
    await writeFile(join(home, 'other'), 'of-another-file');
    const paths = 'HF_TOKEN_PATH' in variables ? { HF_TOKEN_PATH: join(home, variables.HF_TOKEN_PATH) } : variables;
    await download({ env: { ...env, ...paths } });
    const tokens = (host: string) =>
      new Set(hub.received.filter((request) => request.host === host).map(({ headers }) => headers.authorization));
    expect(tokens('hub')).toEqual(new Set([`Bearer ${token}`]));
    expect(tokens('cdn')).toEqual(new Set([undefined]));
  });

  test('does not get a token that an HTTP header cannot carry', async () => {
    expect((await failure(download({ env: { ...env, HF_TOKEN: `${SECRET}\n${SECRET}` } }))).message).toMatch(
      /HF_TOKEN/,
    );
  });

  test('is asked for a revision: a ref is stored for a branch with a slash, and none for a commit', async () => {
    hub.revisions.set('refs/pr/1', COMMIT);
    await download({ revision: 'refs/pr/1' });
    await download({ revision: COMMIT });
    expect(await readdir(repo('refs'), { recursive: true })).toEqual(['refs', 'refs/pr', 'refs/pr/1']);
    expect(await readFile(repo('refs/refs/pr/1'), 'utf8')).toBe(COMMIT);
    expect((await failure(download({ revision: 'v9' }))).message).toMatch(/org\/model \(v9\): no such revision/);
  });

  test.each([
    [401, 'GatedRepo', /Accept the model's conditions.*HF_TOKEN/],
    [403, '', /Accept the model's conditions.*HF_TOKEN/],
    [401, 'RepoNotFound', /Check the name.*private model set HF_TOKEN/],
    [404, 'RepoNotFound', /Check the name/],
  ])('is asked once when it answers %d %s, and the message says what to do', async (status, code, message) => {
    hub.fault = (_, response) => Boolean(response.writeHead(status, { 'x-error-code': code }).end());
    expect((await failure(download({ env: { ...env, HF_TOKEN: SECRET } }))).message).toMatch(message);
    expect(hub.received.length).toBe(1);
  });

  test.each([
    'http://example.com',
    'ftp://127.0.0.1',
    'http://127.0.0.1.example.com',
    `https://u:${SECRET}@x.org`,
    'x',
  ])('is not searched at %s', async (endpoint) => {
    expect((await failure(download({ env: { ...env, HF_ENDPOINT: endpoint } }))).message).toMatch(/^HF_ENDPOINT: /);
  });

  test('cannot redirect to an address that is not encrypted', async () => {
    hub.fault = ({ url }, response) =>
      url.includes('/resolve/') && Boolean(response.writeHead(302, { location: 'http://192.0.2.1/x' }).end());
    expect((await failure(download())).message).toMatch(/"http:\/\/192\.0\.2\.1", which is not an https: address/);
  });

  test.each(['<html>Log in</html>', '{}', 'null', '[1]'])('is not recognised by the answer %s', async (text) => {
    hub.fault = (_, response) => Boolean(response.end(text));
    expect((await failure(download())).message).toMatch(/Check HF_ENDPOINT|expected the hash of a commit/);
  });

  test('is asked again when the connection breaks in an answer', async () => {
    let broken = 0;
    hub.fault = ({ url }, response) => {
      if (!url.includes('/revision/') || broken++ > 0) return false;
      response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy());
      return true;
    };
    await download();
    expect(broken).toBe(2);
  });

  test.each(['../x', 'a/b/c', 'org/..', '', 'org/mo\ndel', 'org/a--b'])('is not asked for %j', async (name) => {
    expect((await failure(downloadModel(name, { env }))).message).toMatch(/expected the name of a model/);
  });

  test.each(['../x', '/x', '', 'a\0b', 'a\\b'])('is not asked for revision %j', async (revision) => {
    expect((await failure(download({ revision }))).message).toMatch(/expected a branch/);
  });
});

describe('progress', () => {
  test('ends at the size of all files', async () => {
    const wanted = ['config.json', 'tokenizer.json', 'model.safetensors', 'additional_chat_templates/tool_use.jinja'];
    const total = wanted.map((name) => hub.files.get(name)!.length).reduce((a, b) => a + b);
    const seen: number[] = [];
    const onProgress: DownloadOptions['onProgress'] = (progress) => {
      expect(progress.total).toBe(total);
      seen.push(progress.loaded);
    };
    await download({ onProgress });
    expect(seen.length).toBeGreaterThan(1);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(total);
  });
});

describe('a broken connection', () => {
  test.each<[string, Fault, (string | undefined)[]]>([
    ['dropped half-way is continued from there', answers(dropHalfWay), [undefined, `bytes=${HALF}-`]],
    ['answered with 200 instead of 206 is restarted', answers(dropHalfWay, whole), [undefined, `bytes=${HALF}-`]],
    [
      'answered with 416 is restarted',
      answers(dropHalfWay, (response) => void response.writeHead(416).end()),
      [undefined, `bytes=${HALF}-`, undefined],
    ],
    [
      'answered with another range is restarted',
      answers(
        dropHalfWay,
        (response) => void response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('0123456789'),
      ),
      [undefined, `bytes=${HALF}-`, undefined],
    ],
    [
      'answered with 429, then 503, is tried again',
      answers(
        (response) => void response.writeHead(429, { 'retry-after': '0' }).end(),
        (response) => void response.writeHead(503).end(),
      ),
      [undefined, undefined, undefined],
    ],
    ['closed at once is tried again', answers((response) => void response.destroy()), [undefined, undefined]],
  ])('%s', async (_, fault, ranges) => {
    hub.fault = fault;
    expect(sha256(await weightsOf(await download()))).toBe(sha256(WEIGHTS));
    expect(hub.fetches('model.safetensors', 'cdn')).toEqual(ranges);
  });

  test('in the download of a newer version is an error, and the old version is not returned', async () => {
    await download();
    const old = 'a'.repeat(40);
    await rename(repo('snapshots', COMMIT), repo('snapshots', old));
    await writeFile(repo('refs', 'main'), old);
    hub.files.set('model.safetensors', Buffer.from(WEIGHTS).reverse());
    hub.fault = ({ host }, response) =>
      host === 'cdn' && Boolean(response.writeHead(503, { 'retry-after': '0' }).end());
    expect(await failure(download())).toBeInstanceOf(HubUnreachableError);
  });

  test('is given up when the server cannot continue and breaks at the same place each time', async () => {
    hub.fault = answers(...Array.from({ length: 20 }, () => dropHalfWay));
    const error = await failure(download());
    expect(error.message).toMatch(/after 5 attempts/);
    expect(hub.fetches('model.safetensors', 'cdn').length).toBeLessThanOrEqual(7);
  }, 30_000);

  test('is given up after five attempts without progress', async () => {
    hub.fault = (_, response) => Boolean(response.writeHead(503, { 'retry-after': '0' }).end());
    const error = await failure(download());
    expect(error).toBeInstanceOf(HubUnreachableError);
    expect(error.message).toMatch(/status 503, after 5 attempts/);
    expect(hub.received.length).toBe(5);
  });

  test('by the caller ends the download at once, and the next call continues it', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    hub.fault = answers((response) => {
      half(response);
      void hasWritten(1).then(() => {
        controller.abort(reason);
      });
    });
    await expect(download({ signal: controller.signal })).rejects.toBe(reason);
    const { length } = await readFile(partial());
    expect(length).toBeGreaterThan(0);
    await expect(readdir(repo('snapshots'))).rejects.toThrow(/ENOENT/);
    expect(sha256(await weightsOf(await download()))).toBe(sha256(WEIGHTS));
    expect(hub.fetches('model.safetensors', 'cdn')).toEqual([undefined, `bytes=${length}-`]);
    expect((await readdir(repo('blobs'))).length).toBe(4);
  });
});

describe('wrong contents', () => {
  const wrong = Buffer.from(WEIGHTS).fill(0, 7, 8);

  test.each([
    ['weights', 'model.safetensors', wrong],
    ['a small file', 'tokenizer.json', Buffer.from('[]')],
  ])('of %s never get into the cache', async (_, name, bytes) => {
    const right = hub.files.get(name)!;
    hub.fault = ({ host, url }, response) =>
      (host === 'cdn' || name === 'tokenizer.json') &&
      url.endsWith(`/${name}`) &&
      Boolean(response.writeHead(200).end(bytes));
    expect((await failure(download())).message).toMatch(
      new RegExp(`${name}: expected the checksum .*for the ${right.length} bytes`),
    );
    await expect(readdir(repo('snapshots'))).rejects.toThrow(/ENOENT/);
    for (const blob of await readdir(repo('blobs')))
      expect(sha256(await readFile(repo('blobs', blob)))).not.toBe(sha256(bytes));
    hub.fault = () => false;
    expect((await readFile(join(await download(), name))).equals(right)).toBe(true);
  });

  test.each([
    ['wrong', wrong.subarray(0, HALF), [`bytes=${HALF}-`, undefined]],
    ['whole and wrong', wrong, [undefined]],
    ['whole and right', WEIGHTS, []],
    ['too long', Buffer.concat([WEIGHTS, WEIGHTS]), [undefined]],
  ])('in a partial download that is %s are downloaded again', async (_, bytes, ranges) => {
    await leavePartial(bytes);
    expect(sha256(await weightsOf(await download()))).toBe(sha256(WEIGHTS));
    expect(hub.fetches('model.safetensors', 'cdn')).toEqual(ranges);
  });

  test('that are longer than the file are refused', async () => {
    hub.fault = answers((response) => void response.writeHead(200).end(Buffer.concat([WEIGHTS, WEIGHTS])));
    expect((await failure(download())).message).toMatch(/expected 1000000 bytes, got more/);
  });
});

describe('without a network', () => {
  const closedPort = async () => {
    const gone = await new FakeHub().start();
    const address = gone.address('hub');
    await gone.stop();
    return address;
  };

  test.each([
    ['a port that refuses', /127\.0\.0\.1:\d+ cannot be reached \(.*ECONNREFUSED.*\)\. Check [^\n]+$/],
    ['a name that does not exist', /hub\.invalid cannot be reached \(.*(ENOTFOUND|EAI_AGAIN).*\)\. Check [^\n]+$/],
  ])('%s is an error after one attempt, in one line', async (what, message) => {
    const endpoint = what.includes('port') ? await closedPort() : 'https://hub.invalid';
    const error = await failure(download({ env: { ...env, HF_ENDPOINT: endpoint } }));
    expect(error).toBeInstanceOf(HubUnreachableError);
    expect(error.message).toMatch(message);
  });

  test('the last known commit is used, if it is complete', async () => {
    const away = { ...env, HF_ENDPOINT: await closedPort() };
    const snapshot = await download();
    expect(await download({ env: away })).toBe(snapshot);
    await failure(download({ env: away, revision: 'other' }));
    await rm(join(snapshot, 'config.json'));
    await failure(download({ env: away }));
  });

  test('HF_HUB_OFFLINE uses the cache only, and the error names the missing files', async () => {
    const offline = { ...env, HF_HUB_OFFLINE: '1' };
    expect((await failure(download({ env: offline }))).message).toMatch(/lacks this revision\. Unset HF_HUB_OFFLINE/);
    const snapshot = await download();
    const { length } = hub.received;
    expect(await download({ env: offline })).toBe(snapshot);
    expect(await download({ env: offline, revision: COMMIT })).toBe(snapshot);
    await rm(blob());
    expect((await failure(download({ env: offline }))).message).toMatch(/lacks "model\.safetensors"/);
    expect(hub.received.length).toBe(length);
  });
});
