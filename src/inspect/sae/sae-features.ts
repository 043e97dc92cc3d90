import type { Model } from '../../engine/model.ts';
import type { Prompt } from '../../engine/prompt.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Sae } from './sae.ts';

/** The features of a prompt, `[T, d_sae]` f32, which the caller disposes of. The pass stops at the autoencoder's hook. */
export function saeFeatures(model: Model, prompt: Prompt, sae: Sae): Tensor {
  const run = model.run(prompt, { capture: [sae.hook], until: sae.hook });
  try {
    return sae.encode(run.acts[sae.hook]);
  } finally {
    run.dispose();
  }
}
