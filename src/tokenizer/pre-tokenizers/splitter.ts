import type { Pattern } from '../patterns/pattern.ts';

/** The ways to treat the delimiters that a text is split at. */
export const BEHAVIOURS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
/** One of `BEHAVIOURS`. */
export type Behaviour = (typeof BEHAVIOURS)[number];

/**
 * A function that splits texts as `NormalizedString::split` of the Rust crate `tokenizers` does. An empty piece stands for a
 * delimiter that was removed; an empty match leaves no piece.
 *
 * @param invert Whether the delimiters are the texts between the matches. Default false.
 */
export function splitter(pattern: Pattern, behaviour: Behaviour, invert = false): (text: string) => string[] {
  if (behaviour === 'Isolated') return (text) => isolate(text, pattern(text));
  if (behaviour === 'Removed') return (text) => remove(text, pattern(text), invert);
  return (text) => {
    const sections = sectionsOf(text.length, pattern(text), invert);
    const pieces = behaviour === 'MergedWithNext' ? mergedWithNext(text, sections) : merged(text, sections, behaviour);
    return pieces.filter((piece) => piece !== '');
  };
}

/** @param found Start and end of each match in turn. */
function isolate(text: string, found: readonly number[]): string[] {
  const pieces: string[] = [];
  let done = 0;
  for (let i = 0; i < found.length; i += 2) {
    if (found[i] > done) pieces.push(text.slice(done, found[i]));
    if (found[i + 1] > found[i]) pieces.push(text.slice(found[i], found[i + 1]));
    done = found[i + 1];
  }
  if (done < text.length) pieces.push(text.slice(done));
  return pieces;
}

function remove(text: string, found: readonly number[], invert: boolean): string[] {
  return sectionsOf(text.length, found, invert)
    .filter(({ start, end }) => start < end)
    .map(({ start, end, isMatch }) => (isMatch ? '' : text.slice(start, end)));
}

interface Section {
  start: number;
  end: number;
  readonly isMatch: boolean;
}

/** The whole text as sections: matches, empty ones included, and the texts between them. */
function sectionsOf(length: number, found: readonly number[], invert: boolean): Section[] {
  const sections: Section[] = [];
  let done = 0;
  for (let i = 0; i < found.length; i += 2) {
    if (found[i] > done) sections.push({ start: done, end: found[i], isMatch: invert });
    sections.push({ start: found[i], end: found[i + 1], isMatch: !invert });
    done = found[i + 1];
  }
  if (done < length) sections.push({ start: done, end: length, isMatch: invert });
  return sections;
}

/** MergedWithPrevious joins a match to a section before it that is none; Contiguous joins adjacent sections of one kind. */
function merged(text: string, sections: readonly Section[], behaviour: Behaviour): string[] {
  const pieces: Section[] = [];
  let afterMatch = false;
  for (const section of sections) {
    const joins = behaviour === 'Contiguous' ? section.isMatch === afterMatch : section.isMatch && !afterMatch;
    const last = pieces.at(-1);
    if (joins && last) last.end = section.end;
    else pieces.push({ ...section });
    afterMatch = section.isMatch;
  }
  return pieces.map(({ start, end }) => text.slice(start, end));
}

function mergedWithNext(text: string, sections: readonly Section[]): string[] {
  const pieces: Section[] = [];
  let beforeMatch = false;
  for (const section of sections.toReversed()) {
    const last = pieces.at(-1);
    if (section.isMatch && !beforeMatch && last) last.start = section.start;
    else pieces.push({ ...section });
    beforeMatch = section.isMatch;
  }
  return pieces.reverse().map(({ start, end }) => text.slice(start, end));
}
