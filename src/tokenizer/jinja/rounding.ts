/** Python's `round`: to the nearest number of `places` digits, in a tie to the even one. Negative `places` round to tens. */
export function roundHalfEven(value: number, places: number): number {
  if (!Number.isFinite(value)) return value;
  if (places < 0) return roundHalfEven(value / 10 ** -places, 0) * 10 ** -places;
  if (places > 70) return value;
  // A tie has a 5 in the next place and only zeros after it.
  const digits = Math.abs(value).toFixed(Math.min(100, places + 30));
  const cut = digits.length - Math.min(100, places + 30) + places;
  const isTie = Math.abs(value) < 1e21 && /^50*$/.test(digits.slice(cut));
  const rounded = Number(Math.abs(value).toFixed(places));
  if (!isTie) return Math.sign(value) * rounded;
  const below = Number(digits.slice(0, cut));
  const isEven = Number(digits.slice(0, cut).replace('.', '').at(-1)) % 2 === 0;
  return Math.sign(value) * (isEven ? below : rounded);
}
