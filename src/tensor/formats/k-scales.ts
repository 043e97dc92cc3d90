// The 12 bytes of Q4_K and Q5_K with a 6-bit scale and a 6-bit minimum for each of 8 groups. Groups 0 to 3 have their scales in
// bytes 0 to 3 and their minima in bytes 4 to 7, each in the low 6 bits. Groups 4 to 7 have their low 4 bits in bytes 8 to 11
// (scale low, minimum high) and their upper 2 bits on top of bytes 0 to 7.

/** The scale of a group, 0 to 63; `at` is the first of the 12 bytes. */
export const groupScale = (packed: Uint8Array, at: number, group: number): number =>
  group < 4 ? packed[at + group] & 63 : (packed[at + group + 4] & 15) | ((packed[at + group - 4] >> 6) << 4);

/** The minimum of a group, 0 to 63; `at` is the first of the 12 bytes. */
export const groupMin = (packed: Uint8Array, at: number, group: number): number =>
  group < 4 ? packed[at + group + 4] & 63 : (packed[at + group + 4] >> 4) | ((packed[at + group] >> 6) << 4);
