/** The progress of a long step: a download, a load, a conversion. */
export interface Progress {
  /** The step, as a user reads it: a file's name, `weights`. */
  readonly label: string;
  /** Bytes done. */
  readonly loaded: number;
  /** Bytes in all, where known. */
  readonly total?: number;
}

/** Called several times a second at most while a long step runs, and once when it is done. It must not throw. */
export type OnProgress = (progress: Progress) => void;
