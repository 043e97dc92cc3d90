/** Where a kernel is implemented. */
export type KernelHome = 'TensorFlow' | 'WebAssembly' | 'JavaScript';

let listener: ((home: KernelHome, name: string) => void) | undefined;

/** Told by backends as they start a kernel: one comparison where nobody asks. */
export function kernelRuns(home: KernelHome, name: string): void {
  listener?.(home, name);
}

/** The kernels that `body`, which is synchronous, makes backends run, in order: `TensorFlow MatMul`. */
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
