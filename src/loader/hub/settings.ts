import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { HubError } from './hub-error.ts';

/** The hub's settings in the environment, read as Python's huggingface_hub reads them. */
export interface HubSettings {
  /** The address of the hub, without a slash at its end. */
  readonly endpoint: string;
  /** The access token; undefined where there is none. */
  readonly token: string | undefined;
  /** The folder of the cache, which holds `models--org--name`. */
  readonly cache: string;
  /** Whether only the cache may be used. */
  readonly offline: boolean;
  /** The longest wait for the beginning of an answer, in ms; HF_HUB_ETAG_TIMEOUT in seconds. */
  readonly answerMs: number;
  /** The time within which a body must make progress, in ms; HF_HUB_DOWNLOAD_TIMEOUT in seconds. */
  readonly silenceMs: number;
  readonly proxies: { readonly httpProxy: string; readonly httpsProxy: string; readonly noProxy: string };
}

/**
 * Reads HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME or XDG_CACHE_HOME for the cache; HF_TOKEN, or the file HF_TOKEN_PATH or
 * `HF_HOME/token`; HF_ENDPOINT; HF_HUB_OFFLINE; HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT; and the usual proxy variables. An
 * empty variable counts as unset.
 * Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
 * @throws {HubError} when a variable is malformed, or the token's file cannot be read
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

/** Milliseconds of a time in seconds. Default 10 s, as in huggingface_hub. */
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

/** Whether an address is encrypted, or on this machine, where http: is safe. */
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
  // The token must not appear in a message.
  if (/[^\x21-\x7e]/.test(token))
    throw new HubError('HF_TOKEN (or the token file): expected one word of ASCII characters, got more. Correct it.');
  return token === '' ? undefined : token;
}
