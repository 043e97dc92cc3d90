import { VitrineError } from '../tensor/errors.ts';

/** The files of a model cannot be read: missing, unreadable, malformed or not what was asked for. */
export class LoadError extends VitrineError {
  override readonly name: string = 'LoadError';
}

/** A string from a file, fit for a message: quoted, cut at 120 characters, nothing that a terminal would obey. */
export function quote(text: string): string {
  const cut = text.length > 120 ? `${text.slice(0, 120)}…` : text;
  return JSON.stringify(cut).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}
