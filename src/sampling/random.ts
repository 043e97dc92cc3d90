import { NonFiniteLogitsError } from './logits.ts';

/** Gives the next random number, uniform in [0, 1), with 53 random bits. */
export type Random = () => number;

/**
 * The generator xoshiro128** 1.1 (Blackman and Vigna, 2018). Two steps of SplitMix64 from `seed` (an integer, taken modulo
 * 2^64) fill its 128 bits of state, low word first. All arithmetic is on integers, so that a seed gives the same numbers on
 * every platform.
 */
export function createRandom(seed: number): Random {
  let [a, b, c, d] = splitMixWords(BigInt(seed));
  const next = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  return () => {
    const high = next() >>> 5;
    return (high * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
  };
}

/** A seed for `createRandom` where none was asked for: 47 random bits. */
export function drawSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 17) * 2 ** 32 + low;
}

/**
 * Draws a token with the given probabilities `[V]`, which need not sum to exactly 1. Takes one number of `random`.
 *
 * @throws {NonFiniteLogitsError} when the probabilities have no positive, finite sum.
 */
export function sampleFrom(probabilities: Float32Array, random: Random): number {
  let total = 0;
  for (const p of probabilities) total += p;
  if (!(total > 0 && total < Infinity)) {
    throw new NonFiniteLogitsError(`Sampling: probabilities must have a positive, finite sum, got ${total}`);
  }
  let left = random() * total;
  let token = -1;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i];
    if (p === 0) continue;
    token = i;
    left -= p;
    if (left < 0) break;
  }
  return token;
}

function splitMixWords(seed: bigint): [number, number, number, number] {
  const words: number[] = [];
  let state = BigInt.asUintN(64, seed);
  for (let step = 0; step < 2; step++) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = BigInt.asUintN(64, (state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    z ^= z >> 31n;
    words.push(Number(BigInt.asIntN(32, z)), Number(BigInt.asIntN(32, z >> 32n)));
  }
  return words as [number, number, number, number];
}

function rotateLeft(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}
