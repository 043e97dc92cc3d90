import { checkGrowth } from '../size-limits.ts';
import type { Pattern } from './pattern.ts';

/**
 * A function that replaces each match of a pattern with `content`, literally.
 *
 * @param path The step of tokenizer.json, for messages.
 * @returns a function of the text and the length of the whole input text; it throws TokenizerError when the result is too
 *   long.
 */
export function replacer(path: string, pattern: Pattern, content: string): (text: string, source: number) => string {
  return (text, source) => {
    // In the crate, an empty text has no match, not even an empty one.
    const found = text === '' ? [] : pattern(text);
    if (found.length === 0) return text;
    checkGrowth(path, source, (found.length / 2) * content.length);
    let replaced = '';
    let done = 0;
    for (let i = 0; i < found.length; i += 2) {
      replaced += text.slice(done, found[i]) + content;
      done = found[i + 1];
    }
    return replaced + text.slice(done);
  };
}
