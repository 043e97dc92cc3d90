/** The library or language that implements a kernel. */
export type KernelHome = 'TensorFlow' | 'WebAssembly' | 'JavaScript';

let listener: ((home: KernelHome, name: string) => void) | undefined;

/** Backends call this as they start a kernel; one comparison outside of `tracedKernels`. */
export function kernelRuns(home: KernelHome, name: string): void {
  listener?.(home, name);
}

/** The kernels that backends run during a synchronous `body`, in order: `TensorFlow MatMul`. */
export function tracedKernels(body: () => void): string[] {
  const kernels: string[] = [];
  const outer = listener;
  listener = (home, name) => {
    kernels.push(`${home} ${name}`);
  };
  try {
    body();
  } finally {
    listener = outer;
  }
  return kernels;
}
