const utf8 = new TextEncoder();

/** The ids of the tokens `<0xHH>` for a text's UTF-8 bytes; undefined when the vocabulary lacks one of them. */
export function byteTokens(vocab: ReadonlyMap<string, number>, text: string): number[] | undefined {
  const ids = Array.from(utf8.encode(text), (byte) =>
    vocab.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
  );
  return ids.includes(undefined) ? undefined : (ids as number[]);
}
