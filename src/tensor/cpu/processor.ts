import { readFileSync } from 'node:fs';
import { VitrineError } from '../../errors.ts';

/** What a choice of kernels may depend on, besides the shapes. */
export interface Processor {
  readonly arch: string;
  /** The text of /proc/cpuinfo; undefined where the system has none. */
  readonly cpuinfo: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The processor of this machine, and the settings of this process. */
export function thisProcessor(): Processor {
  let cpuinfo: string | undefined;
  try {
    cpuinfo = readFileSync('/proc/cpuinfo', 'latin1');
  } catch {
    // Not Linux.
  }
  return { arch: process.arch, cpuinfo, env: process.env };
}

/**
 * Whether TensorFlow multiplies bf16 with instructions made for it: oneDNN has such kernels from AVX-512 on, and without
 * them a bf16 product is some ten times slower than one in f32. Where the system does not tell, it is assumed.
 * oneDNN's own setting `ONEDNN_MAX_CPU_ISA` can take the instructions away.
 */
export function hasBf16Instructions({ arch, cpuinfo, env } = thisProcessor()): boolean {
  if (arch !== 'x64') return true;
  const allowed = (env.ONEDNN_MAX_CPU_ISA ?? env.DNNL_MAX_CPU_ISA ?? '').toUpperCase();
  if (allowed !== '' && !/^(AVX512|AVX10|DEFAULT$|ALL$)/.test(allowed)) return false;
  return cpuinfo === undefined || /^flags\s*:.*\bavx512bw\b/m.test(cpuinfo);
}

/**
 * Whether products with bf16 weights round their activations and results to bf16 where nobody asks for a dtype: as the
 * processor does it best or, so that every path can be run on every machine, as the variable `VITRINE_BF16_PRODUCTS` says (0 or 1).
 *
 * @throws {VitrineError} for another value of the variable.
 */
export function prefersBf16Products(processor = thisProcessor()): boolean {
  const forced = processor.env.VITRINE_BF16_PRODUCTS ?? '';
  if (forced === '') return hasBf16Instructions(processor);
  if (forced !== '0' && forced !== '1')
    throw new VitrineError(`VITRINE_BF16_PRODUCTS: expected 0 (f32 products) or 1 (bf16 products), got "${forced}".`);
  return forced === '1';
}
