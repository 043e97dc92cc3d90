/** A file of a commit as the hub lists it. */
export interface HubFile {
  /** Its path in the repository, with slashes. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** In hex: SHA-256 of a large file (LFS, Xet), git's SHA-1 of a small one. Also the name of its blob in the cache. */
  readonly hash: string;
}

/** Whether a text is the full hash of a commit. */
export const isCommit = (text: string): boolean => /^[0-9a-f]{40}$/.test(text);
