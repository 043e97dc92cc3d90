// Seeded numbers for tensors of any size: one block of each kind is drawn, and tensors repeat it from places of their own.

/** Numbers in a block. A prime, so that no row of a matrix repeats another one. */
const BLOCK = 4194301;
/** The deviation of all weights: the usual start of training, which keeps activations of a random model near 1. */
const DEVIATION = 0.02;
/** Of the 8-bit codes, whose factor brings it to the one above: their range is used, and 448 is four times as far. */
const CODE_DEVIATION = 112;
/** E2M1 codes that are all as likely have a deviation of 2.9: the power of two that brings it nearest. */
const EXPONENT = 127 - 7;

/** @typedef {import('./models.mjs').Tensor} Tensor */

/** @typedef {{ createRandom: (seed: number) => () => number, formats: Record<'BF16' | 'F8_E4M3' | 'F32', { blockBytes: number, encode: (values: Float32Array, out: Uint8Array) => void }> }} Engine */

/** Makes the bytes of tensors; the same for the same seed. @param {number} seed @param {Engine} engine */
export function createFiller(seed, { createRandom, formats }) {
  /** @type {Map<string, Uint8Array>} */
  const blocks = new Map();
  const random = createRandom(seed);
  const normal = normalBlock(random);

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
        return encoded('BF16', new Float32Array(BLOCK).fill(1));
      case 'nibbles':
        return bytes(BLOCK, random);
      case 'exponent':
        return bytes(BLOCK, random).map((byte) => EXPONENT - 1 + (byte % 3));
      case 'factor':
        return encoded(
          'F32',
          normal.map((x) => (DEVIATION / CODE_DEVIATION) * (1 + x / 10)),
        );
      default: {
        if (dtype === 'U8') throw new Error('bytes are no numbers');
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

  /** The bytes of a tensor, some MB at a time. @param {Tensor} tensor @param {number} bytes @param {(bytes: number) => void} onWritten */
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

/** Box and Muller's normal numbers, none beyond four deviations. @param {() => number} random */
function normalBlock(random) {
  const values = new Float32Array(BLOCK);
  for (let i = 0; i < BLOCK; i += 2) {
    const radius = Math.min(4, Math.sqrt(-2 * Math.log(1 - random())));
    const angle = 2 * Math.PI * random();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < BLOCK) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** @type {(count: number, random: () => number) => Uint8Array} */
const bytes = (count, random) => Uint8Array.from({ length: count }, () => random() * 256);

/** FNV-1a of the name and the seed: where a tensor begins in its block. @type {(name: string, seed: number) => number} */
function hash(name, seed) {
  let state = 2166136261;
  for (const letter of `${seed} ${name}`) state = Math.imul(state ^ Number(letter.codePointAt(0)), 16777619);
  return state >>> 0;
}
