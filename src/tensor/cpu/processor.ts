import { readFileSync } from 'node:fs';

/**
 * Whether TensorFlow multiplies bf16 with instructions made for it: oneDNN has such kernels from AVX-512 on, and without
 * them a bf16 product is some ten times slower than one in f32. Where the system does not tell, it is assumed.
 */
export function hasBf16Products(): boolean {
  if (process.arch !== 'x64') return true;
  try {
    return /^flags\s*:.*\bavx512bw\b/m.test(readFileSync('/proc/cpuinfo', 'latin1'));
  } catch {
    return true;
  }
}
