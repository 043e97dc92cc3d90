import { EnvHttpProxyAgent, fetch, Response } from 'undici';

import { formatBytes } from '../../format-bytes.ts';
import { quote } from '../../quote.ts';
import { HubError, HubUnreachableError } from './hub-error.ts';
import { retry, TransientError } from './retry.ts';
import { type HubSettings, isSafeUrl } from './settings.ts';

const CONNECT_MS = 5_000;
const MAX_REDIRECTS = 5;
/** The bytes of a body that must arrive within `silenceMs`: 1 kB/s at the default of 10 s. */
const LEAST_BYTES = 10_000;
/** The largest description, or page of a listing; the hub's own pages have some 300 kB. */
const MAX_TEXT_BYTES = 16_000_000;

/** Error codes of connections that were dropped, after which another attempt is worthwhile. */
const DROPPED = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** How to stop and observe a client. */
export interface ClientOptions {
  /** Ends requests that run, and refuses further ones. */
  readonly signal?: AbortSignal | undefined;
  /** Called with a line about each failure before another attempt. */
  readonly onRetry?: (text: string) => void;
}

/** An HTTP client for one hub, with token, redirects, proxies and time limits. Its errors say what to do. */
export class HubClient {
  /** The address of the hub, without a slash at its end. */
  readonly endpoint: string;
  readonly #settings: HubSettings;
  readonly #agent: EnvHttpProxyAgent;
  readonly #signal: AbortSignal | undefined;
  readonly #onRetry: (text: string) => void;

  constructor(settings: HubSettings, { signal, onRetry = () => undefined }: ClientOptions = {}) {
    this.endpoint = settings.endpoint;
    this.#settings = settings;
    this.#signal = signal;
    this.#onRetry = onRetry;
    this.#agent = new EnvHttpProxyAgent({
      ...settings.proxies,
      connect: { timeout: CONNECT_MS },
      headersTimeout: settings.answerMs,
      bodyTimeout: 0, // `read` has a stricter limit
    });
  }

  /** Closes all connections. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }

  /** Repeats an attempt that fails with TransientError. @throws {HubUnreachableError} when it is given up */
  retry<T>(attempt: () => Promise<T>): Promise<T> {
    const { answerMs, silenceMs } = this.#settings;
    return retry(attempt, {
      answerMs: Math.max(answerMs, silenceMs),
      signal: this.#signal,
      onRetry: this.#onRetry,
    });
  }

  /**
   * One GET, without retries. Redirects are followed here, so that the token is sent to the hub only, and never over http:.
   * @returns The response, if its status is 200 to 299 or one of `accept`.
   * @throws {HubError} for other statuses
   * @throws {TransientError} when another attempt may succeed
   */
  async get(address: string, headers: Record<string, string> = {}, accept: readonly number[] = []): Promise<Response> {
    let url = new URL(address);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      this.#refuseUnsafe(url);
      const { token } = this.#settings;
      const authorization = this.#isHub(url) && token !== undefined ? { authorization: `Bearer ${token}` } : {};
      const response = await fetch(url, {
        headers: { 'user-agent': 'vitrine', ...headers, ...authorization },
        redirect: 'manual',
        dispatcher: this.#agent,
        signal: this.#signal ?? null,
      }).catch((error: unknown) => {
        throw this.failure(error, url);
      });
      if (response.ok || accept.includes(response.status)) return response;
      await response.body?.cancel();
      const location = response.headers.get('location');
      if (response.status < 300 || response.status > 399 || location === null) throw this.#refusal(response, url);
      if (!URL.canParse(location, url.href))
        throw new HubError(`${url.host} redirects to ${quote(location)}, which is not an address. Check HF_ENDPOINT.`);
      url = new URL(location, url);
    }
    throw new HubError(`${quote(address)}: more than ${MAX_REDIRECTS} redirects. Check HF_ENDPOINT.`);
  }

  /**
   * The pieces of a response's body as they arrive. The time that the caller takes for a piece does not count.
   * @throws {TransientError} when too few bytes arrive within `silenceMs`
   */
  async *read(response: Response, { host }: { readonly host: string }): AsyncGenerator<Uint8Array, void, undefined> {
    if (response.body === null) return;
    const reader = response.body.getReader();
    const { silenceMs } = this.#settings;
    let waited = 0;
    let bytes = 0;
    try {
      let next = reader.read();
      for (;;) {
        const start = performance.now();
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<'late'>((resolve) => (timer = setTimeout(resolve, silenceMs - waited, 'late')));
        const piece = await Promise.race([next, late]).finally(() => {
          clearTimeout(timer);
        });
        waited += performance.now() - start;
        if (piece !== 'late' && piece.done) return;
        if (piece !== 'late') {
          bytes += (piece.value as Uint8Array).length;
          yield piece.value as Uint8Array;
          next = reader.read();
        }
        if (bytes < LEAST_BYTES && waited < silenceMs) continue;
        if (bytes < LEAST_BYTES)
          throw new TransientError(`${host} sent ${bytes} bytes in ${(silenceMs / 1000).toFixed(1)} s`);
        waited = bytes = 0;
      }
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  /** A GET of a short body, with retries until all of it has arrived. */
  async getText(address: string): Promise<Response> {
    const url = new URL(address);
    return this.retry(async () => {
      const answer = await this.get(address);
      const pieces: Uint8Array[] = [];
      let bytes = 0;
      try {
        for await (const piece of this.read(answer, url)) {
          pieces.push(piece);
          bytes += piece.length;
          if (bytes > MAX_TEXT_BYTES)
            throw new HubError(
              `${url.host}: expected an answer of at most ${formatBytes(MAX_TEXT_BYTES)}, got a longer one. Check HF_ENDPOINT.`,
            );
        }
      } catch (error) {
        if (error instanceof HubError || error instanceof TransientError) throw error;
        throw this.failure(error, url);
      }
      return new Response(Buffer.concat(pieces), { headers: [...answer.headers] });
    });
  }

  /**
   * The error of a broken connection: TransientError where it was dropped, HubUnreachableError where it was refused or not
   * resolved.
   */
  failure(error: unknown, { host }: { readonly host: string }, progressed = false): Error {
    if (this.#signal?.aborted === true) return this.#signal.reason as Error;
    const { cause = error } = error as Error;
    const { code = '', message } = cause as NodeJS.ErrnoException;
    if (DROPPED.has(code)) {
      const what = code === 'UND_ERR_HEADERS_TIMEOUT' ? 'gave no answer' : 'broke the connection';
      return new TransientError(`${host} ${what} (${code})`, { progressed });
    }
    return new HubUnreachableError(
      `${host} cannot be reached (${message || code}). Check the network and any proxy, or set HF_ENDPOINT to a mirror.`,
      { cause: error },
    );
  }

  #isHub({ origin }: URL): boolean {
    return origin === new URL(this.endpoint).origin;
  }

  /** Refuses addresses over http:, and those on this machine unless the hub itself is there. */
  #refuseUnsafe(url: URL): void {
    const mayBeHere = new URL(this.endpoint).protocol === 'http:';
    if (isSafeUrl(url) && (url.protocol === 'https:' || mayBeHere)) return;
    throw new HubError(
      `The hub refers to ${quote(`${url.protocol}//${url.host}`)}, which is not an https: address. Check HF_ENDPOINT.`,
    );
  }

  #refusal({ status, headers }: Response, url: URL): Error {
    const { host } = url;
    if (status === 429 || status >= 500) {
      const after = headers.get('retry-after') ?? '';
      const waitMs = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
      return new TransientError(
        `${host} answered with status ${status}`,
        Number.isNaN(waitMs) ? {} : { waitMs: Math.max(0, waitMs) },
      );
    }
    const code = headers.get('x-error-code');
    const token =
      this.#settings.token === undefined ? 'without a token' : 'with the token of HF_TOKEN or the token file';
    if (!this.#isHub(url)) return new HubError(`${host} answered with status ${status}.`);
    if (code === 'GatedRepo' || status === 403) {
      return new HubError(
        `access is restricted (status ${status}, ${token}). Accept the model's conditions on its page, and set HF_TOKEN ` +
          'to a token of that account that may read it.',
      );
    }
    if (status === 401) {
      return new HubError(
        `no such model, or a private one (status 401, ${token}). Check the name, org/name; for a private model set HF_TOKEN.`,
      );
    }
    if (code === 'RevisionNotFound')
      return new HubError('no such revision (status 404). Check the branch, tag or commit.');
    if (status === 404) return new HubError('not found (status 404). Check the name, org/name, and the revision.');
    return new HubError(`${host} answered with status ${status}.`);
  }
}
