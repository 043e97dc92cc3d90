/** The contents of a GGUF file, valid or not. */
export interface GgufParts {
  magic?: string;
  version?: number;
  tensorCount?: bigint;
  keyCount?: bigint;
  keys?: Buffer[];
  tensors?: Buffer[];
  /** The data begins at a multiple of this number of bytes. Default 32. */
  alignment?: number;
  data?: Buffer;
}

export const u8 = (value: number): Buffer => Buffer.from([value]);
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
export const u64 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
};
export const f32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};
export const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

export const T = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  text: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
};

export const key = (name: string, type: number, ...value: Buffer[]): Buffer =>
  Buffer.concat([text(name), u32(type), ...value]);
export const array = (type: number, items: Buffer[]): Buffer => Buffer.concat([u32(type), u64(items.length), ...items]);
export const tensor = (name: string, dims: (bigint | number)[], type: number, offset: bigint | number): Buffer =>
  Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]);

export function gguf(parts: GgufParts = {}): Buffer {
  const { magic = 'GGUF', version = 3, keys = [], tensors = [], alignment = 32, data = Buffer.alloc(0) } = parts;
  const header = Buffer.concat([
    Buffer.from(magic),
    u32(version),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.keyCount ?? keys.length),
    ...keys,
    ...tensors,
  ]);
  const padding = Buffer.alloc((alignment - (header.length % alignment)) % alignment);
  return Buffer.concat([header, padding, data]);
}

/** A copy of a file with more keys. */
export function withKeys(file: Buffer, ...keys: Buffer[]): Buffer {
  const added = keys.reduce((sum, { length }) => sum + length, 0);
  const padKey = key('padding', T.text, text(''));
  // The added bytes are a multiple of the alignment, so that the data stays aligned.
  const pad = key('padding', T.text, text(' '.repeat((32 - ((added + padKey.length) % 32)) % 32)));
  const count = u64(file.readBigUInt64LE(16) + BigInt(keys.length + 1));
  return Buffer.concat([file.subarray(0, 16), count, ...keys, pad, file.subarray(24)]);
}

/**
 * The parts of a file as llama-gguf-split writes them: all keys in the first, and the tensors distributed to the parts in turn.
 */
export function split(
  file: Buffer,
  stored: { name: string; type: number; shape: readonly number[]; position: number; bytes: number }[],
  count: number,
  more: (part: number) => Buffer[] = () => [],
): Buffer[] {
  const info = (it: (typeof stored)[number], offset: number) => tensor(it.name, it.shape.toReversed(), it.type, offset);
  const keysEnd = file.indexOf(info(stored[0], 0));
  return Array.from({ length: count }, (_, part) => {
    const own = stored.filter((_, i) => i % count === part);
    const data: Buffer[] = [];
    let offset = 0;
    const infos = own.map((it) => {
      const at = info(it, offset);
      const padding = (32 - (it.bytes % 32)) % 32;
      data.push(file.subarray(it.position, it.position + it.bytes), Buffer.alloc(padding));
      offset += it.bytes + padding;
      return at;
    });
    const keys = [
      key('split.no', T.u16, u8(part), u8(0)),
      key('split.count', T.u16, u8(count), u8(0)),
      key('split.tensors.count', T.i32, u32(stored.length)),
      ...more(part),
    ];
    const whole = part === 0 ? [file.subarray(24, keysEnd)] : [];
    const keyCount = BigInt(keys.length) + (part === 0 ? file.readBigUInt64LE(16) : 0n);
    return gguf({ keyCount, keys: [...whole, ...keys], tensors: infos, data: Buffer.concat(data) });
  });
}
