/** The dtype to which the operands of matrix products are rounded; sums are f32 in any case. */
export type Compute = 'f32' | 'bf16';

/** What was asked for the body that runs. Ambient, and safe because bodies are synchronous: nothing can interleave. */
let asked: Compute | undefined;

/**
 * Runs a synchronous body whose products with weights round their operands to `compute`, whatever the layers do by
 * themselves; undefined leaves it to them. The weights are not converted: f32 reads them as they are.
 */
export function computeIn<R>(compute: Compute | undefined, body: () => R): R {
  const outer = asked;
  asked = compute;
  try {
    return body();
  } finally {
    asked = outer;
  }
}

/** What the body that runs was asked for. */
export const askedCompute = (): Compute | undefined => asked;
