import type { Floats } from '../backend.ts';
import { emptyLike } from './movement.ts';

/**
 * `out[m, n] = sum over k of a[m, k] * b[k, n]` (or `b[n, k]`), for each of `batch` matrices.
 * The sum is in f64, in the order of k, and is rounded once, to the floats of `a`.
 */
export function matmul(
  a: Floats,
  b: Floats,
  { batch, M, N, K, transposeB }: { batch: number; M: number; N: number; K: number; transposeB: boolean },
): Floats {
  const out = emptyLike(a, batch * M * N);
  const [stepN, stepK] = transposeB ? [K, 1] : [1, N];
  for (let i = 0; i < batch; i++) {
    for (let m = 0; m < M; m++) {
      const row = (i * M + m) * K;
      for (let n = 0; n < N; n++) {
        const column = i * N * K + n * stepN;
        let sum = 0;
        for (let k = 0; k < K; k++) sum += a[row + k] * b[column + k * stepK];
        out[(i * M + m) * N + n] = sum;
      }
    }
  }
  return out;
}
