import { f16Table } from './f16.ts';
import type { Format } from './format.ts';
import { IQ4_VALUES } from './iq4_nl.ts';

/**
 * GGML IQ4_XS: 256 elements in 136 bytes. f16 d, 2 bytes with the upper 2 bits and 4 bytes with the lower 4 bits of a scale s for
 * each of 8 groups of 32 elements, 128 bytes of 4-bit codes; x = (d·(s − 32))·value of the code.
 * Byte j of a group's 16 holds element j in its low half and element j + 16 in its high half.
 */
export const iq4_xs: Format = {
  name: 'iq4_xs',
  blockSize: 256,
  blockBytes: 136,
  decode(blocks, out) {
    const half = f16Table();
    for (let at = 0, o = 0; at < blocks.length; at += 136, o += 256) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const upper = blocks[at + 2] | (blocks[at + 3] << 8);
      for (let group = 0; group < 8; group++) {
        const lower = (blocks[at + 4 + (group >> 1)] >> (4 * (group & 1))) & 15;
        const scale = d * ((lower | (((upper >> (2 * group)) & 3) << 4)) - 32);
        const [codes, to] = [at + 8 + 16 * group, o + 32 * group];
        for (let j = 0; j < 16; j++) {
          out[to + j] = scale * IQ4_VALUES[blocks[codes + j] & 15];
          out[to + j + 16] = scale * IQ4_VALUES[blocks[codes + j] >> 4];
        }
      }
    }
  },
};
