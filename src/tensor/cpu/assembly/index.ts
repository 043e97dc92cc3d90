// SIMD kernels in AssemblyScript, on addresses in one linear memory that several threads share. Each does the units
// `from..to` of a job and keeps its state in locals. A row is summed in the same order whichever thread has it, so results
// do not depend on how a job was shared.

/** `Y = X W^T`, a unit per row of W: W `[N, K]` bf16, X `[M, K]`, Y `[M, N]`. */
export function linearBf16(w: usize, x: usize, y: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  const rowBytes = (<usize>K) << 1;
  let row = from;
  if (M === 1) row = streamsBf16(w, x, y, K, from, to);
  for (; row < to; row++) {
    const weight = w + <usize>row * rowBytes;
    for (let m = 0; m < M; m++) {
      store<f32>(y + ((<usize>(m * N + row)) << 2), dotBf16(weight, x + (((<usize>m) * K) << 2), K));
    }
  }
}

/** The same with f32 weights. */
export function linearF32(w: usize, x: usize, y: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  const rowBytes = (<usize>K) << 2;
  let row = from;
  if (M === 1) row = streamsF32(w, x, y, K, from, to);
  for (; row < to; row++) {
    const weight = w + <usize>row * rowBytes;
    for (let m = 0; m < M; m++) {
      store<f32>(y + ((<usize>(m * N + row)) << 2), dotF32(weight, x + (((<usize>m) * K) << 2), K));
    }
  }
}

/**
 * One row of X by a quarter of the rows at a time: four streams, far from each other, keep more reads of memory in flight
 * than one does, and share the activations that they load. Gives the first row that is left over.
 */
function streamsBf16(w: usize, x: usize, y: usize, K: i32, from: i32, to: i32): i32 {
  const quarter = (to - from) >> 2;
  const apart = ((<usize>quarter) * K) << 1;
  let w0 = w + (((<usize>from) * K) << 1);
  let out = y + ((<usize>from) << 2);
  const outApart = (<usize>quarter) << 2;
  for (let n = 0; n < quarter; n++, out += 4) {
    let a0 = f32x4.splat(0);
    let a1 = f32x4.splat(0);
    let a2 = f32x4.splat(0);
    let a3 = f32x4.splat(0);
    let b0 = f32x4.splat(0);
    let b1 = f32x4.splat(0);
    let b2 = f32x4.splat(0);
    let b3 = f32x4.splat(0);
    let value = x;
    let k = 0;
    for (; k + 8 <= K; k += 8, w0 += 16, value += 32) {
      const v0 = v128.load(w0);
      const v1 = v128.load(w0 + apart);
      const v2 = v128.load(w0 + 2 * apart);
      const v3 = v128.load(w0 + 3 * apart);
      const low = v128.load(value);
      const high = v128.load(value, 16);
      a0 = f32x4.add(a0, f32x4.mul(lowHalf(v0), low));
      b0 = f32x4.add(b0, f32x4.mul(highHalf(v0), high));
      a1 = f32x4.add(a1, f32x4.mul(lowHalf(v1), low));
      b1 = f32x4.add(b1, f32x4.mul(highHalf(v1), high));
      a2 = f32x4.add(a2, f32x4.mul(lowHalf(v2), low));
      b2 = f32x4.add(b2, f32x4.mul(highHalf(v2), high));
      a3 = f32x4.add(a3, f32x4.mul(lowHalf(v3), low));
      b3 = f32x4.add(b3, f32x4.mul(highHalf(v3), high));
    }
    let s0 = total(f32x4.add(a0, b0));
    let s1 = total(f32x4.add(a1, b1));
    let s2 = total(f32x4.add(a2, b2));
    let s3 = total(f32x4.add(a3, b3));
    for (; k < K; k++, w0 += 2, value += 4) {
      const xk = load<f32>(value);
      s0 += bf16At(w0) * xk;
      s1 += bf16At(w0 + apart) * xk;
      s2 += bf16At(w0 + 2 * apart) * xk;
      s3 += bf16At(w0 + 3 * apart) * xk;
    }
    store<f32>(out, s0);
    store<f32>(out + outApart, s1);
    store<f32>(out + 2 * outApart, s2);
    store<f32>(out + 3 * outApart, s3);
  }
  return from + 4 * quarter;
}

function streamsF32(w: usize, x: usize, y: usize, K: i32, from: i32, to: i32): i32 {
  const quarter = (to - from) >> 2;
  const apart = ((<usize>quarter) * K) << 2;
  let w0 = w + (((<usize>from) * K) << 2);
  let out = y + ((<usize>from) << 2);
  const outApart = (<usize>quarter) << 2;
  for (let n = 0; n < quarter; n++, out += 4) {
    let a0 = f32x4.splat(0);
    let a1 = f32x4.splat(0);
    let a2 = f32x4.splat(0);
    let a3 = f32x4.splat(0);
    let b0 = f32x4.splat(0);
    let b1 = f32x4.splat(0);
    let b2 = f32x4.splat(0);
    let b3 = f32x4.splat(0);
    let value = x;
    let k = 0;
    for (; k + 8 <= K; k += 8, w0 += 32, value += 32) {
      const low = v128.load(value);
      const high = v128.load(value, 16);
      a0 = f32x4.add(a0, f32x4.mul(v128.load(w0), low));
      b0 = f32x4.add(b0, f32x4.mul(v128.load(w0, 16), high));
      a1 = f32x4.add(a1, f32x4.mul(v128.load(w0 + apart), low));
      b1 = f32x4.add(b1, f32x4.mul(v128.load(w0 + apart, 16), high));
      a2 = f32x4.add(a2, f32x4.mul(v128.load(w0 + 2 * apart), low));
      b2 = f32x4.add(b2, f32x4.mul(v128.load(w0 + 2 * apart, 16), high));
      a3 = f32x4.add(a3, f32x4.mul(v128.load(w0 + 3 * apart), low));
      b3 = f32x4.add(b3, f32x4.mul(v128.load(w0 + 3 * apart, 16), high));
    }
    let s0 = total(f32x4.add(a0, b0));
    let s1 = total(f32x4.add(a1, b1));
    let s2 = total(f32x4.add(a2, b2));
    let s3 = total(f32x4.add(a3, b3));
    for (; k < K; k++, w0 += 4, value += 4) {
      const xk = load<f32>(value);
      s0 += load<f32>(w0) * xk;
      s1 += load<f32>(w0 + apart) * xk;
      s2 += load<f32>(w0 + 2 * apart) * xk;
      s3 += load<f32>(w0 + 3 * apart) * xk;
    }
    store<f32>(out, s0);
    store<f32>(out + outApart, s1);
    store<f32>(out + 2 * outApart, s2);
    store<f32>(out + 3 * outApart, s3);
  }
  return from + 4 * quarter;
}

/** `C = A B^T`, a unit per row of A: A `[batch * M, K]`, B `[batch, N, K]`, C `[batch * M, N]`. */
export function dotsF32(b: usize, a: usize, c: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const x = a + (((<usize>row) * K) << 2);
    let other = b + (((<usize>(row / M)) * N * K) << 2);
    let out = c + (((<usize>row) * N) << 2);
    for (let n = 0; n < N; n++, other += (<usize>K) << 2, out += 4) store<f32>(out, dotF32(other, x, K));
  }
}

/** `C = A B`, a unit per row of A: A `[batch * M, K]`, B `[batch, K, N]`, C `[batch * M, N]`. */
export function mixesF32(b: usize, a: usize, c: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const factors = a + (((<usize>row) * K) << 2);
    const values = b + (((<usize>(row / M)) * K * N) << 2);
    const out = c + (((<usize>row) * N) << 2);
    memory.fill(out, 0, (<usize>N) << 2);
    for (let k = 0; k < K; k++) {
      const factor = load<f32>(factors + ((<usize>k) << 2));
      const wide = f32x4.splat(factor);
      const value = values + (((<usize>k) * N) << 2);
      let n = 0;
      for (; n + 4 <= N; n += 4) {
        const at = (<usize>n) << 2;
        v128.store(out + at, f32x4.add(v128.load(out + at), f32x4.mul(wide, v128.load(value + at))));
      }
      for (; n < N; n++) {
        const at = (<usize>n) << 2;
        store<f32>(out + at, load<f32>(out + at) + factor * load<f32>(value + at));
      }
    }
  }
}

/** `y = softmax(x)`, a unit per row of `[rows, N]`; -Infinity gives 0. May be done in place. */
export function softmaxF32(x: usize, _0: usize, y: usize, N: i32, _1: i32, _2: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const input = x + (((<usize>row) * N) << 2);
    const output = y + (((<usize>row) * N) << 2);
    let top: f32 = -Infinity;
    for (let n = 0; n < N; n++) top = max(top, load<f32>(input + ((<usize>n) << 2)));
    const tops = f32x4.splat(top);
    let sums = f32x4.splat(0);
    let n = 0;
    for (; n + 4 <= N; n += 4) {
      const at = (<usize>n) << 2;
      const e = exp4(f32x4.sub(v128.load(input + at), tops));
      v128.store(output + at, e);
      sums = f32x4.add(sums, e);
    }
    let sum = total(sums);
    for (; n < N; n++) {
      const at = (<usize>n) << 2;
      const e = f32x4.extract_lane(exp4(f32x4.splat(load<f32>(input + at) - top)), 0);
      store<f32>(output + at, e);
      sum += e;
    }
    for (n = 0; n < N; n++) {
      const at = output + ((<usize>n) << 2);
      store<f32>(at, load<f32>(at) / sum);
    }
  }
}

/** `y = g sigmoid(g) u`, a unit per four numbers, of which there is room for whole ones. */
export function swigluF32(g: usize, u: usize, y: usize, _0: i32, _1: i32, _2: i32, from: i32, to: i32): void {
  const one = f32x4.splat(1);
  for (let unit = from; unit < to; unit++) {
    const at = (<usize>unit) << 4;
    const gate = v128.load(g + at);
    const silu = f32x4.div(gate, f32x4.add(one, exp4(f32x4.neg(gate))));
    v128.store(y + at, f32x4.mul(silu, v128.load(u + at)));
  }
}

/**
 * e^x: 2^n times a polynomial in the rest of x / ln 2, |rest| <= ln 2 / 2, that is right to 1e-7 (coefficients of the Cephes
 * library's expf). Below 2^-126 it is 0; above what f32 holds, Infinity; NaN stays NaN.
 */
// @ts-ignore: decorator
@inline
function exp4(x: v128): v128 {
  const bounded = f32x4.min(f32x4.max(x, f32x4.splat(-88)), f32x4.splat(89));
  const n = f32x4.nearest(f32x4.mul(bounded, f32x4.splat(1.44269504)));
  // ln 2 in two parts, of which the first has few bits, so that n times it is exact.
  let r = f32x4.sub(bounded, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(-2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(r, r), p), r), f32x4.splat(1));
  // 2^n by its exponent bits, in two factors because n goes up to 128.
  const whole = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(whole, 1);
  const bias = i32x4.splat(127);
  const a = i32x4.shl(i32x4.add(half, bias), 23);
  const b = i32x4.shl(i32x4.add(i32x4.sub(whole, half), bias), 23);
  const e = f32x4.mul(f32x4.mul(p, a), b);
  return v128.andnot(e, f32x4.lt(x, f32x4.splat(-87.3365447505531)));
}

// The sums below are in the order of the streams above: a row is the same wherever it falls.

// @ts-ignore: decorator
@inline
function dotF32(a: usize, b: usize, K: i32): f32 {
  let s = f32x4.splat(0);
  let t = f32x4.splat(0);
  let k = 0;
  for (; k + 8 <= K; k += 8, a += 32, b += 32) {
    s = f32x4.add(s, f32x4.mul(v128.load(a), v128.load(b)));
    t = f32x4.add(t, f32x4.mul(v128.load(a, 16), v128.load(b, 16)));
  }
  let sum = total(f32x4.add(s, t));
  for (; k < K; k++, a += 4, b += 4) sum += load<f32>(a) * load<f32>(b);
  return sum;
}

// @ts-ignore: decorator
@inline
function dotBf16(a: usize, b: usize, K: i32): f32 {
  let s = f32x4.splat(0);
  let t = f32x4.splat(0);
  let k = 0;
  for (; k + 8 <= K; k += 8, a += 16, b += 32) {
    const v = v128.load(a);
    s = f32x4.add(s, f32x4.mul(lowHalf(v), v128.load(b)));
    t = f32x4.add(t, f32x4.mul(highHalf(v), v128.load(b, 16)));
  }
  let sum = total(f32x4.add(s, t));
  for (; k < K; k++, a += 2, b += 4) sum += bf16At(a) * load<f32>(b);
  return sum;
}

// @ts-ignore: decorator
@inline
function bf16At(address: usize): f32 {
  return reinterpret<f32>((<u32>load<u16>(address)) << 16);
}

/** The first four of eight bf16 as f32, of which they are the upper halves. */
// @ts-ignore: decorator
@inline
function lowHalf(v: v128): v128 {
  return v128.shuffle<i16>(i16x8.splat(0), v, 0, 8, 1, 9, 2, 10, 3, 11);
}

/** The last four. */
// @ts-ignore: decorator
@inline
function highHalf(v: v128): v128 {
  return v128.shuffle<i16>(i16x8.splat(0), v, 4, 12, 5, 13, 6, 14, 7, 15);
}

// @ts-ignore: decorator
@inline
function total(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 2) + (f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 3));
}
