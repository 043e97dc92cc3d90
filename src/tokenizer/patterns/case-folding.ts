/** Characters that are one letter in different cases, by each of them. Filled when a pattern first ignores case. */
let variants: ReadonlyMap<string, string> | undefined;

/** All characters that match a character where case is ignored, itself among them: `s` gives `sSſ`. */
export function caseVariants(char: string): string {
  return casedLetters().get(char) ?? char;
}

/** Every letter that has another case, with all its variants. */
export function casedLetters(): ReadonlyMap<string, string> {
  if (variants) return variants;
  const byFold = new Map<string, string>();
  for (let code = 0; code <= 0x1ffff; code++) {
    // The dotless i is an i of its own, but in Turkish.
    if (code === 0x131 || (code >= 0xd800 && code <= 0xdfff)) continue;
    const char = String.fromCodePoint(code);
    const fold = simpleFold(char);
    if (fold !== char) byFold.set(fold, (byFold.get(fold) ?? fold) + char);
  }
  variants = new Map(Array.from(byFold.values()).flatMap((group) => Array.from(group, (char) => [char, group])));
  return variants;
}

/** Unicode's simple case folding, nearly: lower case of upper case, where both are one character. */
function simpleFold(char: string): string {
  const upper = char.toUpperCase();
  const lower = (isOne(upper) ? upper : char).toLowerCase();
  return isOne(lower) ? lower : char;
}

const isOne = (text: string) => text.length === 1 || (text.length === 2 && text.codePointAt(0)! > 0xffff);
