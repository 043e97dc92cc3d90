import type { Format } from './format.ts';

/** GGML Q8_K: 256 elements in 292 bytes. f32 scale d, 256 × i8 q, 16 sums of 16 of them, which are not needed; x = d·q. */
export const q8_k: Format = {
  name: 'q8_k',
  blockSize: 256,
  blockBytes: 292,
  decode(blocks, out) {
    const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
    for (let at = 0, o = 0; at < blocks.length; at += 292, o += 256) {
      const d = view.getFloat32(at, true);
      for (let i = 0; i < 256; i++) out[o + i] = d * ((blocks[at + 4 + i] << 24) >> 24);
    }
  },
};
