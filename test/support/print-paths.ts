import { cpus } from 'node:os';
import { hasBf16Instructions } from '../../src/tensor/cpu/processor.ts';

/** Says on what the tests run: the results of both projects have to be the same on every processor. */
export default function printPaths(): void {
  const kernels = hasBf16Instructions() ? "TensorFlow's bf16 kernels" : 'f32 kernels that round as bf16 ones do';
  const limit = process.env.ONEDNN_MAX_CPU_ISA;
  console.log(
    `Processor: ${cpus()[0]?.model.trim() ?? 'unknown'}${limit === undefined ? '' : `, ONEDNN_MAX_CPU_ISA=${limit}`}. ` +
      `Products with bf16 weights run both ways: widened to f32, and in bf16 (here on ${kernels}).`,
  );
}
