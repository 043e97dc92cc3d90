import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { HubError } from './hub-error.ts';

/** What the environment says about the hub, read as Python's huggingface_hub reads it. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** The folder that holds `models--org--name`. */
  readonly cache: string;
  /** Only the cache may be used. */
  readonly offline: boolean;
  /** How long to wait for an answer to begin; HF_HUB_ETAG_TIMEOUT in seconds. */
  readonly answerMs: number;
  /** How long a body may bring next to nothing; HF_HUB_DOWNLOAD_TIMEOUT in seconds. */
  readonly silenceMs: number;
  readonly proxies: { readonly httpProxy: string; readonly httpsProxy: string; readonly noProxy: string };
}

/**
 * HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME or XDG_CACHE_HOME for the cache; HF_TOKEN or the file HF_TOKEN_PATH or
 * `HF_HOME/token`; HF_ENDPOINT; HF_HUB_OFFLINE; HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT; and the usual proxy variables. An empty variable counts as unset.
 * https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
 */
export async function readSettings(env: NodeJS.ProcessEnv): Promise<HubSettings> {
  const first = (...names: string[]): string =>
    names.map((name) => env[name]?.trim() ?? '').find((value) => value !== '') ?? '';
  const home = first('HOME') || homedir();
  const path = (...names: string[]): string => first(...names).replace(/^~(?=[/\\]|$)/, () => home);

  const hfHome = path('HF_HOME') || join(path('XDG_CACHE_HOME') || join(home, '.cache'), 'huggingface');
  return {
    endpoint: checkedEndpoint(first('HF_ENDPOINT') || 'https://huggingface.co'),
    token: checkedToken(first('HF_TOKEN') || (await readToken(path('HF_TOKEN_PATH') || join(hfHome, 'token')))),
    cache: path('HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') || join(hfHome, 'hub'),
    offline: /^(1|on|yes|true)$/i.test(first('HF_HUB_OFFLINE')),
    answerMs: milliseconds(first('HF_HUB_ETAG_TIMEOUT')),
    silenceMs: milliseconds(first('HF_HUB_DOWNLOAD_TIMEOUT')),
    proxies: {
      httpProxy: first('http_proxy', 'HTTP_PROXY'),
      httpsProxy: first('https_proxy', 'HTTPS_PROXY'),
      noProxy: `${first('no_proxy', 'NO_PROXY')},localhost,127.0.0.1,[::1]`,
    },
  };
}

/** Of a time in seconds; 10 s where there is none, as in huggingface_hub. */
function milliseconds(seconds: string): number {
  const parsed = Number(seconds);
  return seconds !== '' && parsed > 0 ? Math.min(parsed, 3600) * 1000 : 10_000;
}

function checkedEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && isSafeUrl(url) && url.username === '') return text.replace(/\/+$/, '');
  throw new HubError(
    `HF_ENDPOINT: expected an https: address without a user name (http: only on this machine), got ` +
      `${url === undefined ? 'something else' : url.origin}. Correct it or unset it.`,
  );
}

/** What is sent over http: can be read and changed on its way, except within one machine. */
export const isSafeUrl = (url: URL): boolean =>
  url.protocol === 'https:' || (url.protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname));

async function readToken(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return '';
    throw new HubError(
      `The hub's token file ${path}: ${(cause as Error).message}. Make it readable, or set HF_TOKEN.`,
      {
        cause,
      },
    );
  });
}

function checkedToken(text: string): string | undefined {
  const token = text.trim();
  // The token itself must never come into a message.
  if (/[^\x21-\x7e]/.test(token)) throw new HubError('HF_TOKEN (or the token file) holds more than one plain word.');
  return token === '' ? undefined : token;
}
