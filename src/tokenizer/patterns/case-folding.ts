/** By character: all characters that case folding makes the same, itself included. Computed at the first use. */
let variants: ReadonlyMap<string, string> | undefined;

/** All characters that match a character when case is ignored, itself included: `s` gives `sSſ`. */
export function caseVariants(char: string): string {
  return casedLetters().get(char) ?? char;
}

/** The variants of every letter that has another case, by letter. */
export function casedLetters(): ReadonlyMap<string, string> {
  if (variants) return variants;
  const byFold = new Map<string, string>();
  for (let code = 0; code <= 0x1ffff; code++) {
    // Outside of Turkish, the dotless i is no variant of i.
    if (code === 0x131 || (code >= 0xd800 && code <= 0xdfff)) continue;
    const char = String.fromCodePoint(code);
    const fold = simpleFold(char);
    if (fold !== char) byFold.set(fold, (byFold.get(fold) ?? fold) + char);
  }
  variants = new Map(Array.from(byFold.values()).flatMap((group) => Array.from(group, (char) => [char, group])));
  return variants;
}

/** Approximates the simple case folding of Unicode: the lower case of the upper case, if both are one character. */
function simpleFold(char: string): string {
  const upper = char.toUpperCase();
  const lower = (isOne(upper) ? upper : char).toLowerCase();
  return isOne(lower) ? lower : char;
}

const isOne = (text: string) => text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff);
