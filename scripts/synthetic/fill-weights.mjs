// Seeded numbers for tensors of any size: one block of each kind is drawn, and each tensor repeats it from another position.

/** Numbers in a block by default. A prime, so that no row of a matrix repeats another one. */
const PERIOD = 4194301;
/**
 * The standard deviation of all weights: the usual one at the start of training, which keeps activations of a random model near
 * 1.
 */
const DEVIATION = 0.02;
/** The standard deviation of the 8-bit codes, before their scale: a quarter of the largest code, 448. */
const CODE_DEVIATION = 112;
/**
 * The exponent byte of MXFP4's scales: codes of equal probability have a standard deviation of 2.9, and 2.9 / 2^7 is about
 * 0.02.
 */
const EXPONENT = 127 - 7;

/** @typedef {import('./models.mjs').Tensor} Tensor */

/**
 * @typedef {{ createRandom: (seed: number) => () => number, formats: Record<'BF16' | 'F8_E4M3' | 'F32', { blockBytes: number,
 *   encode: (values: Float32Array, out: Uint8Array) => void }> }} Engine
 */

/**
 * A function that gives the bytes of tensors; the same for the same seed.
 *
 * @param {number} seed
 * @param {Engine} engine
 * @param {number} [period] Numbers that are drawn before they repeat, a prime.
 */
export function createFiller(seed, { createRandom, formats }, period = PERIOD) {
  /** @type {Map<string, Uint8Array>} */
  const blocks = new Map();
  const random = createRandom(seed);
  const normal = normalBlock(period, random);

  /** @type {(dtype: keyof typeof formats, values: Float32Array) => Uint8Array} */
  const encoded = (dtype, values) => {
    const bytes = new Uint8Array(values.length * formats[dtype].blockBytes);
    formats[dtype].encode(values, bytes);
    return bytes;
  };

  /** @type {(tensor: Tensor) => Uint8Array} */
  const draw = ({ dtype, fill }) => {
    switch (fill) {
      case 'one':
        return encoded('BF16', new Float32Array(period).fill(1));
      case 'nibbles':
        return bytes(period, random);
      case 'exponent':
        return bytes(period, random).map((byte) => EXPONENT - 1 + (byte % 3));
      case 'factor':
        return encoded(
          'F32',
          normal.map((x) => (DEVIATION / CODE_DEVIATION) * (1 + x / 10)),
        );
      default: {
        if (dtype === 'U8') throw new Error('U8 has no normal numbers');
        const deviation = dtype === 'F8_E4M3' ? CODE_DEVIATION : DEVIATION;
        return encoded(
          dtype,
          normal.map((x) => x * deviation),
        );
      }
    }
  };

  /** @type {(tensor: Tensor) => Uint8Array} */
  const block = (tensor) => {
    const kind = `${tensor.fill} ${tensor.dtype}`;
    const known = blocks.get(kind);
    if (known !== undefined) return known;
    const drawn = draw(tensor);
    blocks.set(kind, drawn);
    return drawn;
  };

  /**
   * The bytes of a tensor, some MB at a time.
   * @param {Tensor} tensor
   * @param {number} bytes
   * @param {(bytes: number) => void} onWritten
   */
  return async function* fill(tensor, bytes, onWritten) {
    const source = block(tensor);
    const width = tensor.dtype === 'BF16' ? 2 : tensor.dtype === 'F32' ? 4 : 1;
    let at = (hash(tensor.same ?? tensor.name, seed) % (source.length / width)) * width;
    for (let left = bytes; left > 0; at = 0) {
      const part = source.subarray(at, at + Math.min(left, source.length - at));
      yield part;
      onWritten(part.length);
      left -= part.length;
    }
  };
}

/**
 * Normal numbers by Box and Muller's transform, cut off at four deviations.
 * @param {number} count
 * @param {() => number} random
 */
function normalBlock(count, random) {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.min(4, Math.sqrt(-2 * Math.log(1 - random())));
    const angle = 2 * Math.PI * random();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** @type {(count: number, random: () => number) => Uint8Array} */
const bytes = (count, random) => Uint8Array.from({ length: count }, () => random() * 256);

/**
 * FNV-1a of the name and the seed, which gives the position of a tensor in its block. @type {(name: string, seed: number) =>
 * number}
 */
function hash(name, seed) {
  let state = 2166136261;
  for (const letter of `${seed} ${name}`) state = Math.imul(state ^ Number(letter.codePointAt(0)), 16777619);
  return state >>> 0;
}
