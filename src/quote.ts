/** A string from elsewhere, fit for a message: quoted, cut at `most` characters, nothing in it that a terminal would obey. */
export function quote(text: string, most = 120): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return JSON.stringify(cut).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}
