/** Longer names are no slips of the keyboard, and comparing them takes time. */
const MOST_CHARACTERS = 100;

/** The known names that are most like `asked`, best first: how they are written (`max_tokens`, `maxTokens`) counts little. */
export function nearest(asked: string, names: readonly string[], count = 3): string[] {
  const wanted = plain(asked.slice(0, MOST_CHARACTERS));
  return names
    .map((name) => ({ name, distance: editDistance(wanted, plain(name)) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ name }) => name);
}

const plain = (name: string): string => name.replaceAll(/[_-]/g, '').toLowerCase();

/** How many characters must be put in, taken out or changed (Levenshtein, 1965). */
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
