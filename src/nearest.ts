/** Only so many characters are compared: longer names are not typing errors, and comparing them takes time. */
const MOST_CHARACTERS = 100;

/**
 * The names most similar to `asked` by edit distance, best first. Case, `_` and `-` do not count, so that `max_tokens` is
 * `maxTokens`.
 *
 * @param count The largest number of names. Default: 3.
 */
export function nearest(asked: string, names: readonly string[], count = 3): string[] {
  const wanted = plain(asked.slice(0, MOST_CHARACTERS));
  return names
    .map((name) => ({ name, distance: editDistance(wanted, plain(name)) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ name }) => name);
}

const plain = (name: string): string => name.replaceAll(/[_-]/g, '').toLowerCase();

/** The number of characters to insert, delete or replace (Levenshtein, 1965). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(change, previous[j] + 1, row[j - 1] + 1));
    }
    previous = row;
  }
  return previous[b.length];
}
