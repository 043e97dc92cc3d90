/** The shortest decimal number that is the same f32: GGUF keeps 1e-5 as 9.999999747378752e-6. */
export function shortestDecimal(value: number | undefined): number | undefined {
  if (value === undefined || Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === value) return candidate;
  }
  return Number(value.toPrecision(9));
}
