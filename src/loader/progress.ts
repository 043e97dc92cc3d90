/** How far a long step has come: a download, a load, a conversion. */
export interface Progress {
  /** What is being worked on, fit to be shown: a file's name, `weights`. */
  readonly label: string;
  /** Bytes done. */
  readonly loaded: number;
  /** Bytes in all, where known. */
  readonly total?: number;
}

/** Called every now and then while a long step runs, and once when it is done. It must not throw. */
export type OnProgress = (progress: Progress) => void;
