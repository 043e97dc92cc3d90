import { setTimeout as sleep } from 'node:timers/promises';

import { EnvHttpProxyAgent, fetch, type Response as Answer } from 'undici';

import { quote } from '../load-error.ts';
import { HubError, HubUnreachableError } from './error.ts';
import { type HubSettings, isSafeUrl } from './settings.ts';

const CONNECT_MS = 5_000;
/** Silence after which an open connection counts as dropped. */
const SILENCE_MS = 30_000;
const ATTEMPTS = 5;
const FIRST_DELAY_MS = 300;
const LONGEST_DELAY_MS = 60_000;
const MAX_REDIRECTS = 5;

const DROPPED = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);

/** A failure after which another attempt may well succeed. */
export class TransientError extends Error {
  /** How long the server wants us to wait. */
  readonly waitMs: number | undefined;
  /** Whether the attempt brought something, so that the next one has less to do. */
  readonly progressed: boolean;

  constructor(message: string, { waitMs, progressed = false }: { waitMs?: number; progressed?: boolean } = {}) {
    super(message);
    this.waitMs = waitMs;
    this.progressed = progressed;
  }
}

/** HTTP to one hub: the token, redirects, proxies, retries, and answers turned into errors that say what to do. */
export class HubClient {
  readonly endpoint: string;
  private readonly token: string | undefined;
  private readonly agent: EnvHttpProxyAgent;
  private readonly signal: AbortSignal | undefined;

  constructor({ endpoint, token, proxies }: HubSettings, signal?: AbortSignal) {
    this.endpoint = endpoint;
    this.token = token;
    this.signal = signal;
    this.agent = new EnvHttpProxyAgent({
      ...proxies,
      connect: { timeout: CONNECT_MS },
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
    });
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }

  /**
   * Repeats `attempt` while it throws TransientError, at most five times without progress, at growing intervals.
   * @throws HubUnreachableError when the last attempt failed as well.
   */
  async retry<T>(attempt: () => Promise<T>): Promise<T> {
    for (let failures = 1; ; failures++) {
      this.signal?.throwIfAborted();
      try {
        return await attempt();
      } catch (error) {
        this.signal?.throwIfAborted();
        if (!(error instanceof TransientError)) throw error;
        if (error.progressed) failures = 1;
        if (failures === ATTEMPTS) {
          throw new HubUnreachableError(`${error.message}, after ${ATTEMPTS} attempts. Try again later.`, {
            cause: error,
          });
        }
        const delay = error.waitMs ?? FIRST_DELAY_MS * 2 ** (failures - 1);
        await sleep(Math.min(delay, LONGEST_DELAY_MS), undefined, { signal: this.signal });
      }
    }
  }

  /**
   * One GET, without retries. Redirects are followed here, because the token must go to the hub only and never over http:.
   * @returns the answer where its status is 200 to 299, or one of `accept`.
   */
  async get(address: string, headers: Record<string, string> = {}, accept: readonly number[] = []): Promise<Answer> {
    let url = new URL(address);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      if (!isSafeUrl(url)) {
        throw new HubError(
          `The hub refers to ${quote(url.origin)}, which is not an https: address. Check HF_ENDPOINT.`,
        );
      }
      const isHub = url.origin === new URL(this.endpoint).origin;
      const authorization = isHub && this.token !== undefined ? { authorization: `Bearer ${this.token}` } : {};
      const response = await fetch(url, {
        headers: { 'user-agent': 'vitrine', ...headers, ...authorization },
        redirect: 'manual',
        dispatcher: this.agent,
        signal: this.signal ?? null,
      }).catch((error: unknown) => {
        throw this.failure(error, url);
      });
      if (response.ok || accept.includes(response.status)) return response;
      await response.body?.cancel();
      const location = response.headers.get('location');
      if (response.status < 300 || response.status > 399 || location === null) throw this.refusal(response, url);
      url = new URL(location, url);
    }
    throw new HubError(`${quote(address)}: more than ${MAX_REDIRECTS} redirects. Check HF_ENDPOINT.`);
  }

  /** A GET, with retries until all of its (short) body is there. */
  async getWhole(address: string): Promise<Response> {
    return this.retry(async () => {
      const answer = await this.get(address);
      const text = await answer.text().catch((error: unknown) => {
        throw this.failure(error, new URL(address));
      });
      return new Response(text, { headers: [...answer.headers] });
    });
  }

  /** What a connection that broke means: dropped ones are worth another attempt, refused and unresolvable ones are not. */
  failure(error: unknown, { host }: { readonly host: string }, progressed = false): Error {
    if (this.signal?.aborted === true) return this.signal.reason as Error;
    const { cause = error } = error as Error;
    const { code = '', message } = cause as NodeJS.ErrnoException;
    if (DROPPED.has(code)) return new TransientError(`${host}: the connection broke (${code})`, { progressed });
    return new HubUnreachableError(
      `${host} cannot be reached (${message || code}). Check the network and any proxy, or set HF_ENDPOINT to a mirror.`,
      { cause: error },
    );
  }

  private refusal({ status, headers }: Answer, { host, origin }: URL): Error {
    if (status === 429 || status >= 500) {
      const after = headers.get('retry-after') ?? '';
      const waitMs = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
      return new TransientError(
        `${host} answered with status ${status}`,
        Number.isNaN(waitMs) ? {} : { waitMs: Math.max(0, waitMs) },
      );
    }
    const code = headers.get('x-error-code');
    const token = this.token === undefined ? 'without a token' : 'with the token of HF_TOKEN or the token file';
    if (origin !== new URL(this.endpoint).origin) return new HubError(`${host} answered with status ${status}.`);
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
