import { layerNorm } from '../../tensor/ops/layer-norm.ts';
import { rmsNorm } from '../../tensor/ops/rms-norm.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Arrangement } from '../weights/arrangement.ts';
import type { Weights } from '../weights/weights.ts';

/** A norm over the width of the residual stream, or of a head. */
export interface Norm {
  /** @param name Prefix of its taps. */
  forward(x: Tensor, name: string): Tensor;
}

/** `name.weight` is the gain. */
export class RmsNorm implements Norm {
  readonly weight: Parameter; // [D]
  readonly epsilon: number;

  constructor(weights: Weights, name: string, dim: number, epsilon: number, arrangement?: Arrangement) {
    this.weight = weights.vector(`${name}.weight`, dim, arrangement);
    this.epsilon = epsilon;
  }

  forward(x: Tensor, name: string): Tensor {
    return rmsNorm(x, this.weight.tensor, this.epsilon, name);
  }
}

/** `name.weight` is the gain, `name.bias` is added. */
export class LayerNorm implements Norm {
  readonly weight: Parameter; // [D]
  readonly bias: Parameter; //   [D]
  readonly epsilon: number;

  constructor(weights: Weights, name: string, dim: number, epsilon: number) {
    this.weight = weights.vector(`${name}.weight`, dim);
    this.bias = weights.vector(`${name}.bias`, dim);
    this.epsilon = epsilon;
  }

  forward(x: Tensor, name: string): Tensor {
    return layerNorm(x, this.weight.tensor, this.bias.tensor, this.epsilon, name);
  }
}
