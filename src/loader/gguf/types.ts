import { bf16 } from '../../tensor/formats/bf16.ts';
import { f16 } from '../../tensor/formats/f16.ts';
import { f32 } from '../../tensor/formats/f32.ts';
import type { Format } from '../../tensor/formats/format.ts';
import { mxfp4Ggml } from '../../tensor/formats/mxfp4-ggml.ts';
import { q4_0 } from '../../tensor/formats/q4_0.ts';
import { q4_1 } from '../../tensor/formats/q4_1.ts';
import { q4_k } from '../../tensor/formats/q4_k.ts';
import { q6_k } from '../../tensor/formats/q6_k.ts';
import { q8_0 } from '../../tensor/formats/q8_0.ts';

/** A storage type of GGUF tensors. Those without a `format` are only measured, so that a file's layout can be checked. */
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

/** By the number that the file uses (ggml's `ggml_type`; sizes from GGML_QUANT_SIZES of the package `gguf`). */
export const GGML_TYPES: ReadonlyMap<number, GgmlType> = new Map([
  [0, decoded(f32)],
  [1, decoded(f16)],
  [2, decoded(q4_0)],
  [3, decoded(q4_1)],
  [6, measured('Q5_0', 32, 22)],
  [7, measured('Q5_1', 32, 24)],
  [8, decoded(q8_0)],
  [9, measured('Q8_1', 32, 40)],
  [10, measured('Q2_K', 256, 84)],
  [11, measured('Q3_K', 256, 110)],
  [12, decoded(q4_k)],
  [13, measured('Q5_K', 256, 176)],
  [14, decoded(q6_k)],
  [15, measured('Q8_K', 256, 292)],
  [16, measured('IQ2_XXS', 256, 66)],
  [17, measured('IQ2_XS', 256, 74)],
  [18, measured('IQ3_XXS', 256, 98)],
  [19, measured('IQ1_S', 256, 50)],
  [20, measured('IQ4_NL', 32, 18)],
  [21, measured('IQ3_S', 256, 110)],
  [22, measured('IQ2_S', 256, 82)],
  [23, measured('IQ4_XS', 256, 136)],
  [24, measured('I8', 1, 1)],
  [25, measured('I16', 1, 2)],
  [26, measured('I32', 1, 4)],
  [27, measured('I64', 1, 8)],
  [28, measured('F64', 1, 8)],
  [29, measured('IQ1_M', 256, 56)],
  [30, decoded(bf16)],
  [34, measured('TQ1_0', 256, 54)],
  [35, measured('TQ2_0', 256, 66)],
  [39, decoded(mxfp4Ggml)],
  [40, measured('NVFP4', 64, 36)],
  [41, measured('Q1_0', 128, 18)],
]);

/** The names of the types that can be read. */
export const READABLE_TYPES: readonly string[] = [...GGML_TYPES.values()].filter((t) => t.format).map((t) => t.name);
