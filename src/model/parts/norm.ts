import type { HookPoint } from '../../tensor/hook-point.ts';
import { layerNorm } from '../../tensor/ops/layer-norm.ts';
import { NORM_HOOKS } from '../../tensor/ops/norm-taps.ts';
import { rmsNorm } from '../../tensor/ops/rms-norm.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Arrangement } from '../weights/arrangement.ts';
import { type WeightDeclaration, wholeWeight } from '../weights/weight-point.ts';
import type { Weights } from '../weights/weights.ts';

/** A norm over the last axis: of the residual stream, `[T, D]`, or of heads. */
export interface Norm {
  /** Its hook points, under the path that `forward` is given. */
  readonly hooks: readonly HookPoint[];
  /** Its weights, under the same path. */
  readonly weightPoints: readonly WeightDeclaration[];
  /** @param path The path of its hook points. */
  forward(x: Tensor, path: string): Tensor;
}

const GAIN = 'gain of the norm: what the normed rows are multiplied by';

/** Root mean square norm; `name.weight` is the gain. */
export class RmsNorm implements Norm {
  readonly hooks = NORM_HOOKS;
  readonly weight: Parameter; // [D]
  readonly epsilon: number;

  /** @param arrangement Makes the gain of the stored numbers. Default: they are the gain. */
  constructor(weights: Weights, name: string, dim: number, epsilon: number, arrangement?: Arrangement) {
    this.weight = weights.vector(`${name}.weight`, dim, { arrangement });
    this.epsilon = epsilon;
  }

  get weightPoints(): WeightDeclaration[] {
    return this.gainPoints('D');
  }

  /** @param axes Those of the gain. */
  gainPoints(axes: string): WeightDeclaration[] {
    return [
      wholeWeight('w', this.weight, { axes, meaning: GAIN }),
      { name: 'b', absence: 'a root mean square norm has no bias' },
    ];
  }

  forward(x: Tensor, path: string): Tensor {
    return rmsNorm(x, this.weight.tensor, this.epsilon, path);
  }

  /** Heads `[T, H, d]`, each normed by itself where the gain has d numbers, all together where it has `H d`; without taps. */
  forwardHeads(heads: Tensor): Tensor {
    const [, H, d] = heads.shape;
    const [width] = this.weight.shape;
    const rows = heads.reshape([-1, (H * d) / width, width]);
    return rmsNorm(rows, this.weight.tensor, this.epsilon).reshape([-1, H, d]); // [T, H, d]
  }
}

/** Layer norm; `name.weight` is the gain, `name.bias` is added. */
export class LayerNorm implements Norm {
  readonly hooks = NORM_HOOKS;
  readonly weight: Parameter; // [D]
  readonly bias: Parameter; //   [D]
  readonly epsilon: number;

  constructor(weights: Weights, name: string, dim: number, epsilon: number) {
    this.weight = weights.vector(`${name}.weight`, dim);
    this.bias = weights.vector(`${name}.bias`, dim);
    this.epsilon = epsilon;
  }

  get weightPoints(): WeightDeclaration[] {
    return [
      wholeWeight('w', this.weight, { axes: 'D', meaning: GAIN }),
      wholeWeight('b', this.bias, { axes: 'D', meaning: 'bias of the norm' }),
    ];
  }

  forward(x: Tensor, path: string): Tensor {
    return layerNorm(x, this.weight.tensor, this.bias.tensor, this.epsilon, path);
  }
}
