import { bf16 } from '../../tensor/formats/bf16.ts';
import { f16 } from '../../tensor/formats/f16.ts';
import { f32 } from '../../tensor/formats/f32.ts';
import { f64 } from '../../tensor/formats/f64.ts';
import type { Format } from '../../tensor/formats/format.ts';
import { iq1_m } from '../../tensor/formats/iq1_m.ts';
import { iq1_s } from '../../tensor/formats/iq1_s.ts';
import { iq2_s } from '../../tensor/formats/iq2_s.ts';
import { iq2_xs } from '../../tensor/formats/iq2_xs.ts';
import { iq2_xxs } from '../../tensor/formats/iq2_xxs.ts';
import { iq3_s } from '../../tensor/formats/iq3_s.ts';
import { iq3_xxs } from '../../tensor/formats/iq3_xxs.ts';
import { iq4_nl } from '../../tensor/formats/iq4_nl.ts';
import { iq4_xs } from '../../tensor/formats/iq4_xs.ts';
import { mxfp4Ggml } from '../../tensor/formats/mxfp4-ggml.ts';
import { nvfp4 } from '../../tensor/formats/nvfp4.ts';
import { q1_0 } from '../../tensor/formats/q1_0.ts';
import { q2_k } from '../../tensor/formats/q2_k.ts';
import { q3_k } from '../../tensor/formats/q3_k.ts';
import { q4_0 } from '../../tensor/formats/q4_0.ts';
import { q4_1 } from '../../tensor/formats/q4_1.ts';
import { q4_k } from '../../tensor/formats/q4_k.ts';
import { q5_0 } from '../../tensor/formats/q5_0.ts';
import { q5_1 } from '../../tensor/formats/q5_1.ts';
import { q5_k } from '../../tensor/formats/q5_k.ts';
import { q6_k } from '../../tensor/formats/q6_k.ts';
import { q8_0 } from '../../tensor/formats/q8_0.ts';
import { q8_k } from '../../tensor/formats/q8_k.ts';
import { tq1_0 } from '../../tensor/formats/tq1_0.ts';
import { tq2_0 } from '../../tensor/formats/tq2_0.ts';

/** A storage type of GGUF tensors. A type without a `format` cannot be decoded; its sizes serve to check the layout of a file. */
export interface GgmlType {
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
  readonly format?: Format;
}

const decoded = (format: Format): GgmlType => ({
  name: format.name.toUpperCase(),
  blockSize: format.blockSize,
  blockBytes: format.blockBytes,
  format,
});
const measured = (name: string, blockSize: number, blockBytes: number): GgmlType => ({ name, blockSize, blockBytes });

/** The storage types by their numbers in the file, ggml's `ggml_type`; sizes from GGML_QUANT_SIZES of the Python package gguf. */
export const GGML_TYPES: ReadonlyMap<number, GgmlType> = new Map([
  [0, decoded(f32)],
  [1, decoded(f16)],
  [2, decoded(q4_0)],
  [3, decoded(q4_1)],
  [6, decoded(q5_0)],
  [7, decoded(q5_1)],
  [8, decoded(q8_0)],
  [9, measured('Q8_1', 32, 40)],
  [10, decoded(q2_k)],
  [11, decoded(q3_k)],
  [12, decoded(q4_k)],
  [13, decoded(q5_k)],
  [14, decoded(q6_k)],
  [15, decoded(q8_k)],
  [16, decoded(iq2_xxs)],
  [17, decoded(iq2_xs)],
  [18, decoded(iq3_xxs)],
  [19, decoded(iq1_s)],
  [20, decoded(iq4_nl)],
  [21, decoded(iq3_s)],
  [22, decoded(iq2_s)],
  [23, decoded(iq4_xs)],
  [24, measured('I8', 1, 1)],
  [25, measured('I16', 1, 2)],
  [26, measured('I32', 1, 4)],
  [27, measured('I64', 1, 8)],
  [28, decoded(f64)],
  [29, decoded(iq1_m)],
  [30, decoded(bf16)],
  [34, decoded(tq1_0)],
  [35, decoded(tq2_0)],
  [39, decoded(mxfp4Ggml)],
  [40, decoded(nvfp4)],
  [41, decoded(q1_0)],
]);

/** The names of types that llama.cpp has removed, by their numbers. */
export const REMOVED_TYPES: ReadonlyMap<number, string> = new Map([
  [4, 'Q4_2'],
  [5, 'Q4_3'],
  [31, 'Q4_0_4_4'],
  [32, 'Q4_0_4_8'],
  [33, 'Q4_0_8_8'],
  [36, 'IQ4_NL_4_4'],
  [37, 'IQ4_NL_4_8'],
  [38, 'IQ4_NL_8_8'],
]);

/** The names of the types that can be decoded. */
export const READABLE_TYPES: readonly string[] = [...GGML_TYPES.values()].filter((t) => t.format).map((t) => t.name);
