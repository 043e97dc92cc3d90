import type { Fields } from '../json-fields.ts';

const MARK = /\p{Mn}/gu;
/** U+0000, U+FFFD, and the control, format and private use characters: category "other" of the crate `unicode_categories`. */
const REMOVED = /[\0\uFFFD]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu;
const WHITE_SPACE = /\p{White_Space}/gu;
/** CJK ideographs, with the crate's range from U+2B920 on, where Unicode has U+2B820. */
const IDEOGRAPH =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;

/**
 * The normalizer of BERT. As its fields say, it removes control characters and writes white space as spaces, puts spaces
 * around ideographs, removes accents, and lowers the case.
 */
export function bertNormalizer(fields: Fields): (text: string) => string {
  const cleans = fields.boolean('clean_text', true);
  const separates = fields.boolean('handle_chinese_chars', true);
  const lowers = fields.boolean('lowercase', true);
  const strips = fields.boolean('strip_accents', lowers);
  return (text) => {
    if (cleans) text = text.replace(REMOVED, '').replace(WHITE_SPACE, ' ');
    if (separates) text = text.replace(IDEOGRAPH, ' $& ');
    if (strips) text = text.normalize('NFD').replace(MARK, '');
    return lowers ? lowerCase(text) : text;
  };
}

/** Lower case without context, as in Rust's `char`: JavaScript writes a sigma at the end of a word as `ς`. */
export function lowerCase(text: string): string {
  return text.includes('Σ')
    ? text
        .split('Σ')
        .map((part) => part.toLowerCase())
        .join('σ')
    : text.toLowerCase();
}
