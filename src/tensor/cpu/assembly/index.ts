// SIMD kernels in AssemblyScript, on addresses in one linear memory that several threads share. Each does the units
// `from..to` of a job and keeps its state in locals. A row is summed in the same order whichever thread has it, so results
// do not depend on how a job was shared.

/** `Y = X W^T`, a unit per row of W: W `[N, K]` bf16, X `[M, K]`, Y `[M, N]`. */
export function linearBf16(w: usize, _: usize, x: usize, y: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  linear<u16>(w, x, y, K, N, M, from, to);
}

/** The same with f32 weights. */
export function linearF32(w: usize, _: usize, x: usize, y: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  linear<f32>(w, x, y, K, N, M, from, to);
}

/** Weights are `f32`, or `u16` for bf16. */
// @ts-ignore: decorator
@inline
function linear<W>(w: usize, x: usize, y: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  let row = from;
  if (M === 1) row = streams<W>(w, x, y, K, from, to);
  for (; row < to; row++) {
    const weight = w + (<usize>row) * K * sizeof<W>();
    for (let m = 0; m < M; m++) {
      store<f32>(y + ((<usize>(m * N + row)) << 2), dot<W>(weight, x + (((<usize>m) * K) << 2), K));
    }
  }
}

/**
 * One row of X by a quarter of the rows at a time: four streams, far from each other, keep more reads of memory in flight
 * than one does, and share the activations that they load. Gives the first row that is left over.
 */
function streams<W>(w: usize, x: usize, y: usize, K: i32, from: i32, to: i32): i32 {
  const quarter = (to - from) >> 2;
  const apart = (<usize>quarter) * K * sizeof<W>();
  const outApart = (<usize>quarter) << 2;
  let w0 = w + (<usize>from) * K * sizeof<W>();
  let out = y + ((<usize>from) << 2);
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
    for (; k + 8 <= K; k += 8, w0 += 8 * sizeof<W>(), value += 32) {
      const v0 = v128.load(w0);
      const v1 = v128.load(w0 + apart);
      const v2 = v128.load(w0 + 2 * apart);
      const v3 = v128.load(w0 + 3 * apart);
      const low = v128.load(value);
      const high = v128.load(value, 16);
      a0 = f32x4.add(a0, f32x4.mul(first4<W>(v0), low));
      b0 = f32x4.add(b0, f32x4.mul(next4<W>(v0, w0), high));
      a1 = f32x4.add(a1, f32x4.mul(first4<W>(v1), low));
      b1 = f32x4.add(b1, f32x4.mul(next4<W>(v1, w0 + apart), high));
      a2 = f32x4.add(a2, f32x4.mul(first4<W>(v2), low));
      b2 = f32x4.add(b2, f32x4.mul(next4<W>(v2, w0 + 2 * apart), high));
      a3 = f32x4.add(a3, f32x4.mul(first4<W>(v3), low));
      b3 = f32x4.add(b3, f32x4.mul(next4<W>(v3, w0 + 3 * apart), high));
    }
    let s0 = total(f32x4.add(a0, b0));
    let s1 = total(f32x4.add(a1, b1));
    let s2 = total(f32x4.add(a2, b2));
    let s3 = total(f32x4.add(a3, b3));
    for (; k < K; k++, w0 += sizeof<W>(), value += 4) {
      const xk = load<f32>(value);
      s0 += number<W>(w0) * xk;
      s1 += number<W>(w0 + apart) * xk;
      s2 += number<W>(w0 + 2 * apart) * xk;
      s3 += number<W>(w0 + 3 * apart) * xk;
    }
    store<f32>(out, s0);
    store<f32>(out + outApart, s1);
    store<f32>(out + 2 * outApart, s2);
    store<f32>(out + 3 * outApart, s3);
  }
  return from + 4 * quarter;
}

/** `C = A B^T`, a unit per row of A: A `[batch * M, K]`, B `[batch, N, K]`, C `[batch * M, N]`. */
export function dotsF32(b: usize, _: usize, a: usize, c: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const x = a + (((<usize>row) * K) << 2);
    const keys = b + (((<usize>(row / M)) * N * K) << 2);
    const out = c + (((<usize>row) * N) << 2);
    for (let n = streams<f32>(keys, x, out, K, 0, N); n < N; n++) {
      store<f32>(out + ((<usize>n) << 2), dot<f32>(keys + (((<usize>n) * K) << 2), x, K));
    }
  }
}

/** `C = A B`, a unit per row of A: A `[batch * M, K]`, B `[batch, K, N]`, C `[batch * M, N]`. */
export function mixesF32(b: usize, _: usize, a: usize, c: usize, K: i32, N: i32, M: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const factors = a + (((<usize>row) * K) << 2);
    const values = b + (((<usize>(row / M)) * K * N) << 2);
    const out = c + (((<usize>row) * N) << 2);
    memory.fill(out, 0, (<usize>N) << 2);
    let k = 0;
    for (; k + 4 <= K; k += 4) mixFour(values + (((<usize>k) * N) << 2), factors + ((<usize>k) << 2), out, N);
    for (; k < K; k++) mixOne(values + (((<usize>k) * N) << 2), load<f32>(factors + ((<usize>k) << 2)), out, N);
  }
}

/** Adds four rows of `N` numbers, each by its factor, to another: in the order of the rows, reading and writing it once. */
// @ts-ignore: decorator
@inline
function mixFour(rows: usize, factors: usize, out: usize, N: i32): void {
  const width = (<usize>N) << 2;
  const f0 = f32x4.splat(load<f32>(factors));
  const f1 = f32x4.splat(load<f32>(factors, 4));
  const f2 = f32x4.splat(load<f32>(factors, 8));
  const f3 = f32x4.splat(load<f32>(factors, 12));
  let n = 0;
  for (; n + 4 <= N; n += 4) {
    const at = rows + ((<usize>n) << 2);
    let sum = f32x4.add(v128.load(out + ((<usize>n) << 2)), f32x4.mul(f0, v128.load(at)));
    sum = f32x4.add(sum, f32x4.mul(f1, v128.load(at + width)));
    sum = f32x4.add(sum, f32x4.mul(f2, v128.load(at + 2 * width)));
    sum = f32x4.add(sum, f32x4.mul(f3, v128.load(at + 3 * width)));
    v128.store(out + ((<usize>n) << 2), sum);
  }
  for (; n < N; n++) {
    const at = rows + ((<usize>n) << 2);
    let sum = load<f32>(out + ((<usize>n) << 2)) + load<f32>(factors) * load<f32>(at);
    sum += load<f32>(factors, 4) * load<f32>(at + width);
    sum += load<f32>(factors, 8) * load<f32>(at + 2 * width);
    sum += load<f32>(factors, 12) * load<f32>(at + 3 * width);
    store<f32>(out + ((<usize>n) << 2), sum);
  }
}

// @ts-ignore: decorator
@inline
function mixOne(row: usize, factor: f32, out: usize, N: i32): void {
  const wide = f32x4.splat(factor);
  let n = 0;
  for (; n + 4 <= N; n += 4) {
    const at = (<usize>n) << 2;
    v128.store(out + at, f32x4.add(v128.load(out + at), f32x4.mul(wide, v128.load(row + at))));
  }
  for (; n < N; n++) {
    const at = (<usize>n) << 2;
    store<f32>(out + at, load<f32>(out + at) + factor * load<f32>(row + at));
  }
}

/** `y = softmax(x)`, a unit per row of `[rows, N]`; -Infinity gives 0. May be done in place. */
export function softmaxF32(x: usize, _0: usize, _1: usize, y: usize, N: i32, _2: i32, _3: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const input = x + (((<usize>row) * N) << 2);
    const output = y + (((<usize>row) * N) << 2);
    let tops = f32x4.splat(-Infinity);
    let n = 0;
    for (; n + 4 <= N; n += 4) tops = f32x4.max(tops, v128.load(input + ((<usize>n) << 2)));
    let top = max(
      max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)),
      max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)),
    );
    for (; n < N; n++) top = max(top, load<f32>(input + ((<usize>n) << 2)));
    tops = f32x4.splat(top);
    let sums = f32x4.splat(0);
    n = 0;
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
export function swigluF32(g: usize, u: usize, _0: usize, y: usize, _1: i32, _2: i32, _3: i32, from: i32, to: i32): void {
  const one = f32x4.splat(1);
  for (let unit = from; unit < to; unit++) {
    const at = (<usize>unit) << 4;
    const gate = v128.load(g + at);
    const silu = f32x4.div(gate, f32x4.add(one, exp4(f32x4.neg(gate))));
    v128.store(y + at, f32x4.mul(silu, v128.load(u + at)));
  }
}

/**
 * `y = W x`, a unit per row of W: W `[N, K]` MXFP4, 16 bytes of codes and a factor of one byte for 32 columns; x `[K]`, of
 * each 32 the even columns before the odd ones; y `[N]`.
 */
export function linearMxfp4(w: usize, f: usize, x: usize, y: usize, K: i32, _0: i32, _1: i32, from: i32, to: i32): void {
  const groups = K >> 5;
  for (let row = from; row < to; row++) {
    let codes = w + (((<usize>row) * groups) << 4);
    const factors = f + (<usize>row) * groups;
    let value = x;
    let s = f32x4.splat(0);
    for (let group = 0; group < groups; group++, codes += 16, value += 128) {
      const bytes = v128.load(codes);
      const even = v128.and(bytes, i8x16.splat(15));
      const odd = i8x16.shr_u(bytes, 4);
      const e0 = firstE2m1(even);
      const e1 = lastE2m1(even);
      const o0 = firstE2m1(odd);
      const o1 = lastE2m1(odd);
      let a = f32x4.mul(lowHalf(e0), v128.load(value));
      let b = f32x4.mul(highHalf(e0), v128.load(value, 16));
      a = f32x4.add(a, f32x4.mul(lowHalf(e1), v128.load(value, 32)));
      b = f32x4.add(b, f32x4.mul(highHalf(e1), v128.load(value, 48)));
      a = f32x4.add(a, f32x4.mul(lowHalf(o0), v128.load(value, 64)));
      b = f32x4.add(b, f32x4.mul(highHalf(o0), v128.load(value, 80)));
      a = f32x4.add(a, f32x4.mul(lowHalf(o1), v128.load(value, 96)));
      b = f32x4.add(b, f32x4.mul(highHalf(o1), v128.load(value, 112)));
      s = f32x4.add(s, f32x4.mul(f32x4.add(a, b), f32x4.splat(e8m0(load<u8>(factors + group)))));
    }
    store<f32>(y + ((<usize>row) << 2), total(s));
  }
}

/** The numbers of an MXFP4 matrix, a unit per row: y `[N, K]`, where row `from` is the first of y. */
export function decodeMxfp4(w: usize, f: usize, _: usize, y: usize, K: i32, first: i32, _1: i32, from: i32, to: i32): void {
  const groups = K >> 5;
  for (let row = from; row < to; row++) {
    let codes = w + (((<usize>(first + row)) * groups) << 4);
    const factors = f + (<usize>(first + row)) * groups;
    let out = y + (((<usize>row) * K) << 2);
    for (let group = 0; group < groups; group++, codes += 16, out += 128) {
      const bytes = v128.load(codes);
      const factor = f32x4.splat(e8m0(load<u8>(factors + group)));
      // Byte i has column 2i in its low half and 2i + 1 in its high one.
      const low = v128.and(bytes, i8x16.splat(15));
      const high = i8x16.shr_u(bytes, 4);
      const first16 = v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const last16 = v128.shuffle<i8>(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const a = firstE2m1(first16);
      const b = lastE2m1(first16);
      const c = firstE2m1(last16);
      const d = lastE2m1(last16);
      v128.store(out, f32x4.mul(lowHalf(a), factor));
      v128.store(out, f32x4.mul(highHalf(a), factor), 16);
      v128.store(out, f32x4.mul(lowHalf(b), factor), 32);
      v128.store(out, f32x4.mul(highHalf(b), factor), 48);
      v128.store(out, f32x4.mul(lowHalf(c), factor), 64);
      v128.store(out, f32x4.mul(highHalf(c), factor), 80);
      v128.store(out, f32x4.mul(lowHalf(d), factor), 96);
      v128.store(out, f32x4.mul(highHalf(d), factor), 112);
    }
  }
}

/**
 * `y = W x`, a unit per row of W: W `[N, K]` E4M3 with an f32 factor for 128 columns of a row; x `[K]`, y `[N]`. A NaN
 * among the codes of a row makes its result NaN.
 */
export function linearFp8(w: usize, f: usize, x: usize, y: usize, K: i32, _0: i32, _1: i32, from: i32, to: i32): void {
  const blocks = (K + 127) >> 7;
  for (let row = from; row < to; row++) {
    let codes = w + (<usize>row) * K;
    const factors = f + (((<usize>row) * blocks) << 2);
    let value = x;
    let s = f32x4.splat(0);
    let rest: f32 = 0;
    let bad = i8x16.splat(0);
    for (let block = 0; block < blocks; block++) {
      const width = min(128, K - (block << 7));
      const factor = load<f32>(factors + ((<usize>block) << 2));
      let a = f32x4.splat(0);
      let b = f32x4.splat(0);
      let k = 0;
      for (; k + 16 <= width; k += 16, codes += 16, value += 64) {
        const bytes = v128.load(codes);
        bad = v128.or(bad, nanE4m3(bytes));
        a = f32x4.add(a, f32x4.mul(e4m3(bytes, 0), v128.load(value)));
        b = f32x4.add(b, f32x4.mul(e4m3(bytes, 1), v128.load(value, 16)));
        a = f32x4.add(a, f32x4.mul(e4m3(bytes, 2), v128.load(value, 32)));
        b = f32x4.add(b, f32x4.mul(e4m3(bytes, 3), v128.load(value, 48)));
      }
      s = f32x4.add(s, f32x4.mul(f32x4.add(a, b), f32x4.splat(factor)));
      for (; k < width; k++, codes++, value += 4) rest += e4m3At(codes) * factor * load<f32>(value);
    }
    store<f32>(y + ((<usize>row) << 2), v128.any_true(bad) ? NaN : total(s) + rest);
  }
}

/** The numbers of an E4M3 matrix with factors, a unit per row: y `[N, K]`, where row `first` is the first of y. */
export function decodeFp8(w: usize, f: usize, _: usize, y: usize, K: i32, first: i32, _1: i32, from: i32, to: i32): void {
  const blocks = (K + 127) >> 7;
  for (let row = from; row < to; row++) {
    let codes = w + (<usize>(first + row)) * K;
    const factors = f + (((<usize>(first + row)) * blocks) << 2);
    let out = y + (((<usize>row) * K) << 2);
    for (let block = 0; block < blocks; block++) {
      const width = min(128, K - (block << 7));
      const factor = load<f32>(factors + ((<usize>block) << 2));
      const wide = f32x4.splat(factor);
      let k = 0;
      for (; k + 16 <= width && !v128.any_true(nanE4m3(v128.load(codes))); k += 16, codes += 16, out += 64) {
        const bytes = v128.load(codes);
        v128.store(out, f32x4.mul(e4m3(bytes, 0), wide));
        v128.store(out, f32x4.mul(e4m3(bytes, 1), wide), 16);
        v128.store(out, f32x4.mul(e4m3(bytes, 2), wide), 32);
        v128.store(out, f32x4.mul(e4m3(bytes, 3), wide), 48);
      }
      for (; k < width; k++, codes++, out += 4) store<f32>(out, e4m3At(codes) * factor);
    }
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

/** In the order of the streams above, so that a row is the same wherever it falls. */
// @ts-ignore: decorator
@inline
function dot<W>(a: usize, b: usize, K: i32): f32 {
  let s = f32x4.splat(0);
  let t = f32x4.splat(0);
  let k = 0;
  for (; k + 8 <= K; k += 8, a += 8 * sizeof<W>(), b += 32) {
    const v = v128.load(a);
    s = f32x4.add(s, f32x4.mul(first4<W>(v), v128.load(b)));
    t = f32x4.add(t, f32x4.mul(next4<W>(v, a), v128.load(b, 16)));
  }
  let sum = total(f32x4.add(s, t));
  for (; k < K; k++, a += sizeof<W>(), b += 4) sum += number<W>(a) * load<f32>(b);
  return sum;
}

/** Of weights at an address, of which `v` was loaded: the first four as f32. */
// @ts-ignore: decorator
@inline
function first4<W>(v: v128): v128 {
  return isFloat<W>() ? v : lowHalf(v);
}

/** The four after them. */
// @ts-ignore: decorator
@inline
function next4<W>(v: v128, address: usize): v128 {
  return isFloat<W>() ? v128.load(address, 16) : highHalf(v);
}

// @ts-ignore: decorator
@inline
function number<W>(address: usize): f32 {
  return isFloat<W>() ? load<f32>(address) : reinterpret<f32>((<u32>load<u16>(address)) << 16);
}

/** The E2M1 numbers of the first eight of 16 codes, as upper halves of f32: each byte of a half is looked up. */
// @ts-ignore: decorator
@inline
function firstE2m1(codes: v128): v128 {
  return v128.shuffle<i8>(lowerE2m1(codes), upperE2m1(codes), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

/** Of the last eight. */
// @ts-ignore: decorator
@inline
function lastE2m1(codes: v128): v128 {
  return v128.shuffle<i8>(lowerE2m1(codes), upperE2m1(codes), 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// @ts-ignore: decorator
@inline
function upperE2m1(codes: v128): v128 {
  return i8x16.swizzle(
    i8x16(0, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40, -0x80, -0x41, -0x41, -0x41, -0x40, -0x40, -0x40, -0x40),
    codes,
  );
}

// @ts-ignore: decorator
@inline
function lowerE2m1(codes: v128): v128 {
  return i8x16.swizzle(i8x16(0, 0, -0x80, -0x40, 0, 0x40, -0x80, -0x40, 0, 0, -0x80, -0x40, 0, 0x40, -0x80, -0x40), codes);
}

/** 2^(byte - 127) */
// @ts-ignore: decorator
@inline
function e8m0(byte: u32): f32 {
  return reinterpret<f32>(byte === 0 ? 0x400000 : byte << 23);
}

/** What the exponent of an E4M3 number, put into that of an f32, lacks: 2^(127 - 7). */
const E4M3_UNIT: f32 = 1.329227995784916e36;

/** The E4M3 numbers of codes 4 q to 4 q + 3 of 16, as f32. Subnormal ones come out right; NaN has to be looked for apart. */
// @ts-ignore: decorator
@inline
function e4m3(codes: v128, quarter: i32): v128 {
  const wide = quarter < 2 ? i16x8.extend_low_i8x16_u(codes) : i16x8.extend_high_i8x16_u(codes);
  const sign = v128.and(i16x8.shl(wide, 8), i16x8.splat(-0x8000));
  const half = v128.or(sign, i16x8.shl(v128.and(wide, i16x8.splat(0x7f)), 4));
  return f32x4.mul((quarter & 1) === 0 ? lowHalf(half) : highHalf(half), f32x4.splat(E4M3_UNIT));
}

/** Ones in the bytes that are NaN. */
// @ts-ignore: decorator
@inline
function nanE4m3(codes: v128): v128 {
  return i8x16.eq(v128.and(codes, i8x16.splat(0x7f)), i8x16.splat(0x7f));
}

// @ts-ignore: decorator
@inline
function e4m3At(address: usize): f32 {
  const code = <u32>load<u8>(address);
  if ((code & 0x7f) === 0x7f) return NaN;
  return reinterpret<f32>(((code & 0x80) << 24) | ((code & 0x7f) << 20)) * E4M3_UNIT;
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
