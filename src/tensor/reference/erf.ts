/**
 * The error function in f64, to about 1e-15 relative: `2 / sqrt(pi) e^(-x^2)` times the sum over n of
 * `x (2 x^2)^n / (1 · 3 ··· (2n + 1))` (Abramowitz and Stegun 7.1.6). The terms have one sign, so nothing cancels.
 */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x); // 1 - erf(6) is 2e-17.
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
