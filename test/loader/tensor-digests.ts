import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface TensorDigest {
  dtype: string;
  shape: number[];
  sha256: string;
}

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Dtype, shape and SHA-256 of the bytes of every tensor in a folder's safetensors files, read without Vitrine's reader. */
export function tensorDigests(folder: string): Record<string, TensorDigest> {
  const digests: Record<string, TensorDigest> = {};
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.safetensors'))) {
    const bytes = readFileSync(join(folder, file));
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, Entry>;
    for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
      if (name === '__metadata__') continue;
      const data = bytes.subarray(start + offsets[0], start + offsets[1]);
      digests[name] = { dtype, shape, sha256: createHash('sha256').update(data).digest('hex') };
    }
  }
  return digests;
}
