// A hub that breaks connections, states wrong facts and stalls at random.
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers';

import { downloadModel } from '../dist/loader/hub/download.js';
import { HubError } from '../dist/loader/hub/hub-error.js';

/** @typedef {import('./random.mjs').Random} Random */

const COMMIT = 'f'.repeat(40);
const sha256 = (/** @type {Uint8Array} */ bytes) => createHash('sha256').update(bytes).digest('hex');
const gitSha1 = (/** @type {Uint8Array} */ bytes) =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/**
 * Answers to a request for `bytes`: the right one, and one for each fault.
 * @type {Record<string, (response: import('node:http').ServerResponse, bytes: Buffer, start: number, random: Random) => void>}
 */
const FAULTS = {
  right(response, bytes, start) {
    const range = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(start > 0 ? 206 : 200, start > 0 ? range : {}).end(bytes.subarray(start));
  },
  cut(response, bytes, start, random) {
    const range = { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(start > 0 ? 206 : 200, { ...(start > 0 && range), 'content-length': bytes.length - start });
    response.write(bytes.subarray(start, start + random.int(bytes.length - start)), () =>
      setTimeout(() => response.destroy(), 5),
    );
  },
  flip(response, bytes, start, random) {
    const wrong = Buffer.from(bytes);
    if (wrong.length > 0) wrong[random.int(wrong.length)] ^= 1 << random.int(8);
    FAULTS.right(response, wrong, start, random);
  },
  whole: (response, bytes) => void response.writeHead(200).end(bytes),
  otherRange: (response, bytes) =>
    void response.writeHead(206, { 'content-range': 'bytes 1-2/3' }).end(bytes.subarray(0, 2)),
  longer: (response, bytes) => void response.writeHead(200).end(Buffer.concat([bytes, bytes])),
  shorter: (response, bytes) => void response.writeHead(200).end(bytes.subarray(0, bytes.length >> 1)),
  status(response, _bytes, _start, random) {
    const status = random.pick([204, 400, 401, 403, 404, 416, 429, 500, 502, 503]);
    response.writeHead(status, { 'retry-after': random.pick(['0', '1e9', '99999999', 'x', '-1']) }).end();
  },
  redirect(response, _bytes, _start, random) {
    const location = random.pick(['/loop', 'http://192.0.2.1/x', 'file:///etc/passwd', 'http://[bad', '//', '']);
    response.writeHead(302, { location }).end();
  },
  close: (response) => void response.destroy(),
  silence: () => undefined,
  stall: (response, bytes) => void response.writeHead(200).write(bytes.subarray(0, 10)),
  garbage: (response, bytes, _start, random) =>
    void response.writeHead(200).end(random.bytes(random.int(bytes.length + 1))),
};
const KINDS = Object.keys(FAULTS);

/** @type {string} */
let home;

export default {
  about:
    'a hub with random faults: a download ends in time, with the right bytes or a HubError, and keeps no wrong blob',
  limit: { seconds: 30, megabytes: 512 },

  async setup() {
    home = mkdtempSync(join(tmpdir(), 'vitrine-fuzz-hub-'));
    process.on('exit', () => rmSync(home, { recursive: true, force: true }));
  },

  /** @param {Random} random */
  async run(random) {
    const files = new Map([
      ['config.json', Buffer.from('{"model_type":"llama"}')],
      ['tokenizer.json', Buffer.from(random.bytes(random.int(2000)))],
      ['model.safetensors', Buffer.from(random.bytes(20_000 + random.int(200_000)))],
    ]);
    const listing = [...files].map(([path, bytes]) => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: gitSha1(bytes),
      ...(path.endsWith('.safetensors') && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
    }));
    const rate = random.pick([0.05, 0.2, 0.5]);
    const server = createServer((request, response) => {
      response.on('error', () => undefined);
      const url = request.url ?? '';
      const name = /\/resolve\/[^/]+\/(.+)$/.exec(url)?.[1];
      const description = { _id: '1', id: 'org/model', sha: COMMIT, lastModified: '2026-01-01T00:00:00Z' };
      const bytes =
        files.get(name ?? '') ?? Buffer.from(JSON.stringify(url.includes('/revision/') ? description : listing));
      const start = Math.min(bytes.length, Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0));
      FAULTS[random.chance(rate) ? random.pick(KINDS) : 'right'](response, bytes, start, random);
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    const cache = mkdtempSync(join(home, 'case-'));
    const env = {
      HF_HUB_CACHE: cache,
      HF_HOME: cache,
      HF_ENDPOINT: `http://127.0.0.1:${port}`,
      HF_HUB_ETAG_TIMEOUT: '0.2',
      HF_HUB_DOWNLOAD_TIMEOUT: '0.2',
    };
    const blobs = join(cache, 'models--org--model', 'blobs');
    if (random.chance(0.3)) leavePartial(blobs, /** @type {Buffer} */ (files.get('model.safetensors')), random);
    try {
      return await outcome(env, cache, files);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(cache, { recursive: true });
    }
  },
};

/**
 * Downloads the model, and compares the cache with the published files.
 * @param {NodeJS.ProcessEnv} env
 * @param {string} cache
 * @param {Map<string, Buffer>} files
 */
async function outcome(env, cache, files) {
  const error = await downloadModel('org/model', { env }).then(
    () => undefined,
    (reason) => /** @type {Error} */ (reason),
  );
  const repo = join(cache, 'models--org--model');
  for (const name of existsSync(join(repo, 'blobs')) ? readdirSync(join(repo, 'blobs')) : []) {
    const bytes = readFileSync(join(repo, 'blobs', name));
    const isRight = name.endsWith('.incomplete') || name === (name.length === 64 ? sha256(bytes) : gitSha1(bytes));
    if (!isRight) throw new Error(`blob ${name} has other contents`);
  }
  if (error !== undefined) {
    if (!(error instanceof HubError)) throw error;
    if (error.message.length > 2000) throw new Error(`a message of ${error.message.length} characters`);
    if (existsSync(join(repo, 'snapshots'))) throw new Error('a snapshot of a download that failed');
    return 'refused';
  }
  for (const [name, bytes] of files) {
    const got = readFileSync(join(repo, 'snapshots', COMMIT, name));
    if (!got.equals(bytes)) throw new Error(`${name} has other contents`);
  }
  return 'loaded';
}

/**
 * Writes the file of an interrupted download: right or wrong, too short or too long.
 * @param {string} blobs
 * @param {Buffer} bytes
 * @param {Random} random
 */
function leavePartial(blobs, bytes, random) {
  mkdirSync(blobs, { recursive: true });
  const part = random.chance(0.5)
    ? bytes.subarray(0, random.int(bytes.length + 1))
    : random.bytes(random.int(2 * bytes.length));
  writeFileSync(join(blobs, `${sha256(bytes)}.vitrine.incomplete`), part);
}
