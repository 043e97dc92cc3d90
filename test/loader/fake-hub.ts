import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const COMMIT = 'c0ffee'.padEnd(40, '0');

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const gitSha1 = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

export interface Received {
  readonly host: 'hub' | 'cdn';
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
}

/** Answers a request and returns true, or returns false, so that the fake hub answers it. */
export type Fault = (request: Received, response: ServerResponse) => boolean;

/**
 * The parts of the Hugging Face hub that a download uses: /api/models, /resolve with Range, and a redirect to another host for
 * large files (safetensors), as in the real one, with an ETag that is not the file's hash.
 */
export class FakeHub {
  readonly files = new Map<string, Buffer>();
  readonly revisions = new Map([['main', COMMIT]]);
  /** Further entries of the listing. */
  readonly listed: object[] = [];
  readonly received: Received[] = [];
  fault: Fault = () => false;
  readonly #servers: { readonly hub: Server; readonly cdn: Server };

  constructor() {
    const server = (host: Received['host']): Server =>
      createServer((request, response) => {
        const received = { host, url: decodeURIComponent(request.url!), headers: request.headers };
        this.received.push(received);
        if (!this.fault(received, response)) this.#answer(received, response);
      });
    this.#servers = { hub: server('hub'), cdn: server('cdn') };
  }

  async start(): Promise<this> {
    for (const server of [this.#servers.hub, this.#servers.cdn]) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    }
    return this;
  }

  async stop(): Promise<void> {
    for (const server of [this.#servers.hub, this.#servers.cdn]) {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    }
  }

  address(host: Received['host']): string {
    return `http://127.0.0.1:${(this.#servers[host].address() as AddressInfo).port}`;
  }

  /** The Range of each request for a file's contents; undefined where there was none. */
  fetches(name: string, host: Received['host']): (string | undefined)[] {
    return this.received
      .filter((request) => request.host === host && request.url.endsWith(`/${name}`))
      .map(({ headers }) => headers.range);
  }

  #answer({ host, url, headers }: Received, response: ServerResponse): void {
    const { pathname } = new URL(url, 'http://fake');
    const revision = /^\/api\/models\/org\/model\/revision\/(.+)$/.exec(pathname)?.[1];
    const name = /^\/(?:org\/model\/resolve\/[^/]+|cdn)\/(.+)$/.exec(pathname)?.[1];
    if (revision !== undefined) {
      const sha = this.revisions.get(revision) ?? (revision === COMMIT ? COMMIT : undefined);
      if (sha === undefined) response.writeHead(404, { 'x-error-code': 'RevisionNotFound' }).end();
      else json(response, { _id: '1', id: 'org/model', sha, lastModified: '2026-01-01T00:00:00Z' });
    } else if (pathname === `/api/models/org/model/tree/${COMMIT}`) {
      this.#list(url, response);
    } else if (name !== undefined && this.files.has(name)) {
      if (host === 'hub' && isLarge(name)) {
        response.writeHead(302, { location: `${this.address('cdn')}/cdn/${name}` }).end();
      } else send(response, this.files.get(name)!, headers.range);
    } else {
      response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end();
    }
  }

  /** Answers with two pages, as for a long listing. */
  #list(url: string, response: ServerResponse): void {
    const entries = [...this.files].map(([path, bytes]) => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: isLarge(path) ? '0'.repeat(40) : gitSha1(bytes),
      ...(isLarge(path) && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } }),
    }));
    if (url.includes('cursor=1')) json(response, [...entries.slice(2), ...this.listed]);
    else json(response, entries.slice(0, 2), { link: `<${this.address('hub')}${url}&cursor=1>; rel="next"` });
  }
}

const isLarge = (name: string): boolean => name.endsWith('.safetensors');

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

function send(response: ServerResponse, bytes: Buffer, range: string | undefined): void {
  const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
  const common = { etag: '"of-the-store"', 'content-length': bytes.length - start };
  if (range === undefined) response.writeHead(200, common);
  else response.writeHead(206, { ...common, 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` });
  response.end(bytes.subarray(start));
}
