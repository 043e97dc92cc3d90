// Mutated GGUF files of several architectures, storage types and tokenizers, whole and in parts.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planNetwork } from '../dist/engine/load/plan-network.js';
import { openModel } from '../dist/loader/open/open-model.js';
import { elements } from '../dist/tensor/dtype.js';
import { VitrineError } from '../dist/errors.js';
import { Tokenizer } from '../dist/tokenizer/tokenizer.js';

/** @typedef {import('./random.mjs').Random} Random */

const fixtures = join(import.meta.dirname, '..', 'test', 'fixtures', 'gguf');
/** @type {Buffer[]} */
let files = [];
let folder = '';

export default {
  about: 'a mutated GGUF file is refused with a VitrineError, or loads, and every tensor can be read',
  limit: { seconds: 5, megabytes: 512 },

  setup() {
    files = readdirSync(fixtures)
      .filter((name) => name.endsWith('.gguf'))
      .map((name) => readFileSync(join(fixtures, name)));
    folder = mkdtempSync(join(tmpdir(), 'vitrine-fuzz-gguf-'));
    process.once('exit', () => {
      rmSync(folder, { recursive: true, force: true });
    });
  },

  /** @param {Random} random */
  async run(random) {
    const original = random.pick(files);
    const count = random.chance(0.3) ? 2 + random.int(2) : 1;
    const names = Array.from({ length: count }, (_, part) =>
      count === 1 ? 'model.gguf' : `model-${digits(part + 1)}-of-${digits(count)}.gguf`,
    );
    const mutant = random.int(count);
    for (const [part, name] of names.entries()) {
      const bytes = count === 1 ? original : partOf(original, part, count);
      writeFileSync(join(folder, name), part === mutant ? mutated(bytes, random) : bytes);
    }
    try {
      return await load(join(folder, random.pick(names)), random);
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      if (error.message.length > 2000)
        throw new Error(`a message of ${error.message.length} characters`, { cause: error });
      if (/became shorter/.test(error.message))
        throw new Error(`a tensor beyond the end: ${error.message}`, { cause: error });
      return `refused, ${error.name}`;
    }
  },
};

/**
 * @param {string} path
 * @param {Random} random
 */
async function load(path, random) {
  const model = await openModel(path);
  const { checkpoint, tokenizer } = model;
  try {
    for (const note of model.notes ?? [])
      if (note.length > 2000) throw new Error(`a note of ${note.length} characters`);
    for (const [name, { shape }] of checkpoint.tensors) {
      const dtype = checkpoint.naturalDType(name) === 'u8' ? 'u8' : 'f32';
      await checkpoint.read(name, dtype, new Uint8Array(elements(shape) * (dtype === 'u8' ? 1 : 4)));
    }
    if (tokenizer !== undefined) new Tokenizer(tokenizer).encode(Buffer.from(random.bytes(64)).toString('latin1'));
    planNetwork(model);
    return 'loaded';
  } finally {
    await checkpoint.close();
  }
}

/**
 * One to four edits, most of them in the header, where a bit has most effect.
 *
 * @param {Buffer} original
 * @param {Random} random
 */
function mutated(original, random) {
  let bytes = Buffer.from(original);
  for (let edits = 1 + random.int(4); edits > 0 && bytes.length > 64; edits--) {
    const at =
      random.int(random.chance(0.5) ? 2048 : random.chance(0.9) ? bytes.length / 4 : bytes.length) % (bytes.length - 9);
    switch (random.int(7)) {
      case 0:
        bytes[at] ^= 1 << random.int(8);
        break;
      case 1:
        bytes.fill(random.pick([0, 0xff, 0x7f, 0x80]), at, at + 1 + random.int(8));
        break;
      case 2: // a length, a count or a size
        bytes.writeBigUInt64LE(random.pick(NUMBERS), at);
        break;
      case 3:
        bytes.writeUInt32LE(random.int(300), at);
        break;
      case 4:
        bytes = bytes.subarray(0, random.chance(0.5) ? at : bytes.length - 1 - random.int(64));
        break;
      case 5: {
        const from = random.int(bytes.length);
        const piece = bytes.subarray(from, from + random.int(256));
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          piece,
          bytes.subarray(at + (random.chance(0.5) ? piece.length : 0)),
        ]);
        break;
      }
      case 6:
        editKey(bytes, random);
    }
  }
  return bytes;
}

const NUMBERS = [0n, 1n, 2n, 255n, 65_536n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

/**
 * Changes the value of a key that a model's sizes depend on.
 *
 * @param {Buffer} bytes
 * @param {Random} random
 */
function editKey(bytes, random) {
  const key = random.pick([
    'block_count',
    'head_count',
    'head_count_kv',
    'embedding_length',
    'context_length',
    'feed_forward_length',
    'expert_count',
    'key_length',
    'dimension_count',
    'sliding_window',
    'eos_token_id',
    'kv_lora_rank',
    'expert_used_count',
  ]);
  const at = bytes.indexOf(key);
  if (at >= 0 && at + key.length + 8 <= bytes.length)
    bytes.writeUInt32LE(random.pick([0, 1, 3, 7, 64, 1025, 2 ** 20, 2 ** 31, 2 ** 32 - 1]), at + key.length + 4);
}

/**
 * A part of a split model, of which the first part has all tensors.
 *
 * @param {Buffer} whole
 * @param {number} part
 * @param {number} count
 */
function partOf(whole, part, count) {
  const short = (/** @type {string} */ name, /** @type {number} */ value) => {
    const bytes = Buffer.alloc(8 + name.length + 6);
    bytes.writeBigUInt64LE(BigInt(name.length));
    bytes.write(name, 8);
    bytes.writeUInt32LE(2, 8 + name.length);
    bytes.writeUInt16LE(value, 12 + name.length);
    return bytes;
  };
  const added = Buffer.concat([short('split.no', part), short('split.count', count)]);
  const head = Buffer.from(
    part === 0 ? whole.subarray(0, 24) : Buffer.concat([whole.subarray(0, 8), Buffer.alloc(16)]),
  );
  // The added bytes are a multiple of the alignment, so that the data stays aligned.
  const pad = Buffer.alloc(32 - ((added.length + 21) % 32) + 21);
  pad.writeBigUInt64LE(1n);
  pad.write('p', 8);
  pad.writeUInt32LE(8, 9);
  pad.writeBigUInt64LE(BigInt(pad.length - 21), 13);
  head.writeBigUInt64LE(head.readBigUInt64LE(16) + 3n, 16);
  return Buffer.concat([head, added, pad, part === 0 ? whole.subarray(24) : Buffer.alloc(0)]);
}

const digits = (/** @type {number} */ n) => String(n).padStart(5, '0');
