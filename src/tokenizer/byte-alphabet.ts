const LETTERS: string[] = [];
/**
 * The byte of each letter of GPT-2's byte alphabet. A printable byte is written as the character with its code, each of
 * the other 68 as one of the characters from U+0100 on.
 *
 * Source: `bytes_to_unicode` in openai/gpt-2, encoder.py.
 */
export const BYTE_OF: ReadonlyMap<string, number> = (() => {
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    LETTERS.push(String.fromCharCode(prints ? byte : next++));
  }
  return new Map(LETTERS.map((letter, byte) => [letter, byte]));
})();

const utf8 = new TextEncoder();
/** ASCII text without spaces is written as it is. */
const UNCHANGED = /^[!-~]*$/;

/** The UTF-8 bytes of a text, written in GPT-2's byte alphabet: one letter per byte. */
export function toByteLetters(text: string): string {
  if (UNCHANGED.test(text)) return text;
  let letters = '';
  for (const byte of utf8.encode(text)) letters += LETTERS[byte];
  return letters;
}
