import type { WritableFormat } from './format.ts';

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** IEEE 754 binary32, little-endian (as every machine that runs this is). */
export const f32: WritableFormat = {
  name: 'f32',
  blockSize: 1,
  blockBytes: 4,
  decode(blocks, out) {
    bytesOf(out).set(blocks);
  },
  encode(values, out) {
    out.set(bytesOf(values));
  },
};
