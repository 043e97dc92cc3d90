/** The largest number of merges; the largest published vocabulary has 580,000. */
const MAX_MERGES = 3 * 2 ** 18;
/** The largest sum of squared token lengths, which is the time that it takes: 16 million for that vocabulary. */
const MAX_WORK = 2 ** 26;

interface Candidate {
  readonly pair: readonly [left: string, right: string];
  readonly score: number;
  readonly leftLength: number;
  readonly rightLength: number;
}

/**
 * The merges that SentencePiece's scores imply, best first: every way to split a token into two others, ordered by the score of
 * the token, then by the lengths of the two, then by their ids. Source: `generate_merges` of transformers.
 *
 * @param isMergeable Whether the token with this id may be split, or be one of the two.
 * @returns undefined where there would be more than in any published vocabulary
 */
export function mergesFromScores(
  ids: ReadonlyMap<string, number>,
  scores: readonly number[],
  isMergeable: (id: number) => boolean,
): (readonly [string, string])[] | undefined {
  const idOf = (piece: string): number | undefined => {
    const id = ids.get(piece);
    return id !== undefined && isMergeable(id) ? id : undefined;
  };
  const candidates: Candidate[] = [];
  let work = 0;
  for (const [token, id] of ids) {
    if (!isMergeable(id)) continue;
    const characters = Array.from(token);
    work += characters.length ** 2;
    if (work > MAX_WORK || candidates.length > MAX_MERGES) return undefined;
    const splits: { candidate: Candidate; left: number; right: number }[] = [];
    for (let cut = 1, at = characters[0]?.length ?? 0; cut < characters.length; at += characters[cut++].length) {
      const pair = [token.slice(0, at), token.slice(at)] as const;
      const left = idOf(pair[0]);
      const right = left === undefined ? undefined : idOf(pair[1]);
      if (left === undefined || right === undefined) continue;
      const candidate = { pair, score: scores[id], leftLength: cut, rightLength: characters.length - cut };
      splits.push({ candidate, left, right });
    }
    splits.sort((a, b) => a.left - b.left || a.right - b.right);
    candidates.push(...splits.map(({ candidate }) => candidate));
  }
  candidates.sort((a, b) => b.score - a.score || b.leftLength - a.leftLength || b.rightLength - a.rightLength);
  return candidates.map(({ pair }) => pair);
}
