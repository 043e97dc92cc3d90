import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSafetensors, VitrineError } from '../dist/index.js';

/** Bits of an element, from the text of the format. */
const BITS = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};
const DTYPES = Object.keys(BITS);

/** @typedef {import('./random.mjs').Random} Random */

const folder = mkdtempSync(join(tmpdir(), 'vitrine-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'model.safetensors');

/** @param {Random} random @returns {Record<string, any>} */
function validHeader(random) {
  /** @type {Record<string, any>} */
  const header = random.chance(0.3) ? { __metadata__: { format: 'pt' } } : {};
  let offset = 0;
  for (let i = random.int(6); i > 0; i--) {
    const dtype = random.pick(DTYPES);
    const shape = Array.from({ length: random.int(4) }, () => random.int(5));
    const bits = shape.reduce((product, size) => product * size, 1) * BITS[/** @type {keyof typeof BITS} */ (dtype)];
    if (bits % 8 !== 0) continue;
    header[random.pick(['w', 'model.é', '__proto__', 'a"b', '']) + i] = {
      dtype,
      shape,
      data_offsets: [offset, (offset += bits / 8)],
    };
  }
  return header;
}

/** Changes JSON as text. @param {string} text @param {Random} random */
function mutatedText(text, random) {
  const at = random.int(text.length + 1);
  switch (random.int(7)) {
    case 0:
      return (
        text.slice(0, at) +
        random.pick(['0', '-', '.0', 'e1', ',', ' ', '"', '\\', '[', ']', '{', '}', ':', 'null', '\n', '\u0000', 'é']) +
        text.slice(at)
      );
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + random.int(3));
    case 2:
      return text.replace(/\d+/g, (n) => (random.chance(0.2) ? String(Number(n) + random.int(3) - 1) : n));
    case 3:
      return text.replace(/\d+/, () =>
        random.pick(['18446744073709551616', '9007199254740992', '1e3', '00', '4.0', '-1']),
      );
    case 4:
      return text.replace(/^\{/, `{${text.slice(1, -1)}${random.chance(0.5) ? ',' : ''}`);
    case 5:
      return text.replace(/"(dtype|shape|data_offsets)"/, () =>
        random.pick(['"dtype"', '"shape"', '"data_offsets"', '"other"']),
      );
    default:
      return text.replace(/"[A-Z0-9_]+"/, () => JSON.stringify(random.pick(['F31', 'f32', '', ...DTYPES])));
  }
}

/**
 * The verdict of an independent reader, `JSON.parse` and plain arithmetic: `refuse` where the layout is wrong, `accept` where it is
 * right and the text is as `JSON.stringify` writes it, `either` where `JSON.parse` may be too lenient.
 * @param {Buffer} file
 */
function verdict(file) {
  if (file.length < 8) return 'refuse';
  const length = file.readBigUInt64LE();
  if (length > BigInt(file.length - 8)) return 'refuse';
  const bytes = file.subarray(8, 8 + Number(length));
  let text;
  let header;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch {
    return 'refuse';
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) return 'refuse';
  const ranges = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (entry === null) continue;
      if (typeof entry !== 'object' || !Object.values(entry).every((value) => typeof value === 'string'))
        return 'refuse';
      if (Array.isArray(entry)) return 'refuse';
      continue;
    }
    const { dtype, shape, data_offsets: offsets } = entry ?? {};
    const isList = (/** @type {unknown} */ list) =>
      Array.isArray(list) && list.every((x) => Number.isInteger(x) && x >= 0);
    if (typeof dtype !== 'string' || !isList(shape) || !isList(offsets) || offsets.length !== 2) return 'refuse';
    if (!Object.hasOwn(BITS, dtype)) return 'refuse';
    const bits =
      shape.reduce((/** @type {bigint} */ product, /** @type {number} */ size) => product * BigInt(size), 1n) *
      BigInt(BITS[/** @type {keyof typeof BITS} */ (dtype)]);
    if (bits !== 8n * BigInt(offsets[1] - offsets[0])) return 'refuse';
    ranges.push(offsets);
  }
  ranges.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let end = 0;
  for (const [from, to] of ranges) {
    if (from !== end || to < from) return 'refuse';
    end = to;
  }
  if (end !== file.length - 8 - bytes.length) return 'refuse';
  return JSON.stringify(header) === text.trim() ? 'accept' : 'either';
}

export default {
  about:
    'mutated safetensors files: the verdict of an independent reader, errors of one short line, tensors of the stated size',
  limit: { seconds: 2, megabytes: 512 },
  /** @param {Random} random */
  async run(random) {
    const header = validHeader(random);
    let text = JSON.stringify(header);
    for (let n = random.int(3); n > 0; n--) text = mutatedText(text, random);
    const json = Buffer.from(text);
    const size = Object.entries(header).reduce(
      (most, [name, entry]) => (name === '__metadata__' ? most : Math.max(most, entry.data_offsets[1])),
      0,
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    const file = Buffer.concat([length, json, random.bytes(size)]);
    for (let n = random.chance(0.3) ? 1 + random.int(3) : 0; n > 0 && file.length > 0; n--)
      file[random.int(file.length)] ^= 1 << random.int(8);
    const cut = random.chance(0.1) ? file.subarray(0, random.int(file.length + 1)) : file;
    writeFileSync(path, cut);
    const wanted = verdict(cut);
    try {
      const opened = await openSafetensors(path);
      try {
        for (const [name, { bytes }] of opened.tensors) {
          const { data } = await opened.read(name);
          if (data.byteLength !== bytes) throw new Error(`${name}: ${data.byteLength} bytes instead of ${bytes}`);
        }
      } finally {
        await opened.close();
      }
      if (wanted === 'refuse') throw new Error(`accepted ${cut.toString('latin1')}`);
      return 'accepted';
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      if (wanted === 'accept') throw new Error(`refused ${cut.toString('latin1')}: ${error.message}`, { cause: error });
      if (error.message.length > 2000 || error.message.includes('\n'))
        throw new Error(`message: ${error.message}`, { cause: error });
      return 'refused';
    }
  },
};
