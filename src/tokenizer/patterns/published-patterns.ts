const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const CONTRACTIONS_SPELLED = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const SYMBOLS = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*';

/** The pattern of GPT-2. */
export const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const cl100k = (contractions: string, digits: string) =>
  `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${SYMBOLS}|${SPACES}`;
const o200k = (contractions: string, digits: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${contractions}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${contractions}|` +
  `${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`;

const DIGITS = ['\\p{N}', '\\p{N}{1,3}'];

const LINEAR: ReadonlySet<string> = new Set([
  GPT2,
  // GPT-4, Llama 3, Qwen 2 and 3, and their descendants.
  ...[CONTRACTIONS, CONTRACTIONS_SPELLED].flatMap((contractions) =>
    DIGITS.map((digits) => cl100k(contractions, digits)),
  ),
  // GPT-4o, gpt-oss, Mistral's Tekken.
  ...[`${CONTRACTIONS}?`, ''].flatMap((contractions) => DIGITS.map((digits) => o200k(contractions, digits))),
  // DeepSeek V3 and R1.
  ...DIGITS,
  '[一-龥\u3040-\u309f\u30a0-\u30ff]+',
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|' +
    ` ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`,
  // DeepSeek Coder.
  '[\\r\\n]',
  '\\s?\\p{L}+',
  '\\s?\\p{P}+',
  '[一-龥\u0800-一가-\ud7ff]+',
  '\\p{N}+',
  // BLOOM.
  ' ?[^(\\s|[.,!?…。，、।۔،])]+',
]);

/** Whether a pattern is one of a published tokenizer that is known to take time linear in the text's length. */
export function isLinearPattern(source: string): boolean {
  return LINEAR.has(source);
}
