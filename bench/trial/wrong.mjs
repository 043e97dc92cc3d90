// baseline.mjs with an error of 0.01 in one number, where numbers are about 1: `vitrine bench` must find it WRONG.

/**
 * @param {import('vitrine/bench').KernelInputs} inputs x `[T, K]` and w `[N, K]`
 * @param {import('vitrine/bench').Sizes} sizes
 */
export default function linear({ x, w }, { T, K, N }) {
  const out = new Float32Array(T * N);
  for (let t = 0; t < T; t++) for (let n = 0; n < N; n++) out[t * N + n] = dot(x, t * K, w, n * K, K);
  out[Math.floor(out.length / 3)] += 0.01;
  return out;
}

/**
 * @param {ArrayLike<number>} a @param {number} i
 * @param {ArrayLike<number>} b @param {number} j
 * @param {number} count
 */
function dot(a, i, b, j, count) {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let k = 0;
  for (; k + 4 <= count; k += 4) {
    s0 += a[i + k] * b[j + k];
    s1 += a[i + k + 1] * b[j + k + 1];
    s2 += a[i + k + 2] * b[j + k + 2];
    s3 += a[i + k + 3] * b[j + k + 3];
  }
  for (; k < count; k++) s0 += a[i + k] * b[j + k];
  return s0 + s1 + s2 + s3;
}
