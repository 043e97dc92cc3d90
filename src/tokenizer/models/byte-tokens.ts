const utf8 = new TextEncoder();

/** The tokens `<0xHH>` of a text's UTF-8 bytes; undefined where the vocabulary lacks one of them. */
export function byteTokens(vocab: ReadonlyMap<string, number>, text: string): number[] | undefined {
  const ids = Array.from(utf8.encode(text), (byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  );
  return ids.includes(undefined) ? undefined : (ids as number[]);
}
