import { type HookPoint, under } from '../../tensor/hook-point.ts';
import { activate, type Activation, gated } from '../../tensor/ops/activation.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { linear, linears, type Linear, productInvariant } from '../../tensor/ops/linear.ts';
import { scope } from '../../tensor/scope.ts';
import { tap } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { layerWeights, type WeightDeclaration } from '../weights/weight-point.ts';
import type { Weights } from '../weights/weights.ts';
import type { FeedForward } from './block.ts';

/** The weights of a gated feed-forward layer: gate and up, joined, and down. */
export const gatedWeights = (gateUp: Linear, down: Linear): WeightDeclaration[] => [
  ...layerWeights(gateUp, [
    { name: 'gate', axes: 'D F', index: 0, meaning: 'the branch that the activation is applied to' },
    { name: 'in', axes: 'D F', index: 1, meaning: 'the branch that is multiplied with it' },
  ]),
  ...layerWeights(down, [{ name: 'out', axes: 'F D', meaning: 'maps the neurons to the residual stream' }]),
];
/** The layers that have the hooks inside of an MLP. */
const DENSE = 'layers with a dense MLP';

/** Gated feed-forward layer: `down(act(gate(x)) * up(x))`. */
export class GatedMlp implements FeedForward {
  readonly gateUp: Linear; // [2F, D]
  readonly down: Linear; //   [D, F]
  readonly activation: Activation;
  /** The path of its hook points. */
  readonly path: string;

  constructor(layers: { readonly gateUp: Linear; readonly down: Linear }, activation: Activation, path = 'mlp') {
    this.gateUp = layers.gateUp;
    this.down = layers.down;
    this.activation = activation;
    this.path = path;
  }

  get hooks(): HookPoint[] {
    return under(this.path, [
      { name: 'hook_pre', axes: 'p f', meaning: 'gate branch, before its activation', only: DENSE },
      { name: 'hook_pre_linear', axes: 'p f', meaning: 'up branch', only: 'layers with a dense, gated MLP' },
      { name: 'hook_post', axes: 'p f', meaning: 'what `down` reads', only: DENSE },
      { name: 'hook_out', axes: 'p d', meaning: 'output of `down`' },
    ]);
  }

  get weightPoints(): WeightDeclaration[] {
    return under(this.path, gatedWeights(this.gateUp, this.down));
  }

  get invariants(): Invariant[] {
    const { activation, path } = this;
    return [
      {
        formula: `${path}.hook_post = act(${path}.hook_pre) * ${path}.hook_pre_linear`,
        hooks: [`${path}.hook_post`, `${path}.hook_pre`, `${path}.hook_pre_linear`],
        tolerance: 1e-5,
        sides: (value) => [
          value(`${path}.hook_post`),
          activate(value(`${path}.hook_pre`), activation).mul(value(`${path}.hook_pre_linear`)),
        ],
      },
      productInvariant(`${path}.hook_out`, `${path}.hook_post`, 'W_out', this.down),
    ];
  }

  /** `[T, D]` to `[T, D]`. */
  forward(x: Tensor): Tensor {
    return scope(this.path, () => {
      const [gate, up] = linears(x, this.gateUp); //                                       [T, F] twice
      const pre = tap('hook_pre', gate);
      const preLinear = tap('hook_pre_linear', up);
      const post = tap('hook_post', gated(pre, preLinear, this.activation)); //            [T, F]
      return tap('hook_out', linear(post, this.down)); //                                  [T, D]
    });
  }
}

/** Settings of `gatedMlp`. */
export interface GatedMlpOptions {
  /** Whether the three layers have biases. Default false. */
  readonly bias?: boolean;
  /** The path of its hook points. Default `mlp`. */
  readonly path?: string;
}

/** A gated MLP by the names of Llama: `gate_proj`, `up_proj`, `down_proj`. */
export function gatedMlp(
  weights: Weights,
  sizes: { readonly dim: number; readonly mlpDim: number; readonly activation: Activation },
  { bias = false, path = 'mlp' }: GatedMlpOptions = {},
): GatedMlp {
  const { dim: D, mlpDim: F, activation } = sizes;
  const gateUp = weights.linear({ gate_proj: F, up_proj: F }, D, { bias });
  return new GatedMlp({ gateUp, down: weights.linear({ down_proj: D }, F, { bias }) }, activation, path);
}

/** Feed-forward layer without a gate: `down(act(up(x)))`. */
export class PlainMlp implements FeedForward {
  readonly hooks: readonly HookPoint[] = [
    { name: 'mlp.hook_pre', axes: 'p f', meaning: 'the only branch, before its activation', only: DENSE },
    { name: 'mlp.hook_post', axes: 'p f', meaning: 'what `down` reads', only: DENSE },
    { name: 'mlp.hook_out', axes: 'p d', meaning: 'output of `down`' },
  ];
  readonly up: Linear; //   [F, D]
  readonly down: Linear; // [D, F]
  readonly activation: Activation;

  get invariants(): Invariant[] {
    const { activation } = this;
    return [
      {
        formula: 'mlp.hook_post = act(mlp.hook_pre)',
        hooks: ['mlp.hook_post', 'mlp.hook_pre'],
        tolerance: 1e-5,
        sides: (value) => [value('mlp.hook_post'), activate(value('mlp.hook_pre'), activation)],
      },
      productInvariant('mlp.hook_out', 'mlp.hook_post', 'W_out', this.down),
    ];
  }

  constructor(layers: { readonly up: Linear; readonly down: Linear }, activation: Activation) {
    this.up = layers.up;
    this.down = layers.down;
    this.activation = activation;
  }

  get weightPoints(): WeightDeclaration[] {
    return under('mlp', [
      ...['W_gate', 'b_gate'].map((name) => ({ name, absence: 'the MLP has no gate, only W_in and W_out' })),
      ...layerWeights(this.up, [{ name: 'in', axes: 'D F', meaning: 'the branch that the activation is applied to' }]),
      ...layerWeights(this.down, [{ name: 'out', axes: 'F D', meaning: 'maps the neurons to the residual stream' }]),
    ]);
  }

  /** `[T, D]` to `[T, D]`. */
  forward(x: Tensor): Tensor {
    return scope('', () => {
      const pre = tap('mlp.hook_pre', linear(x, this.up)); //                              [T, F]
      const post = tap('mlp.hook_post', activate(pre, this.activation)); //                [T, F]
      return tap('mlp.hook_out', linear(post, this.down)); //                              [T, D]
    });
  }
}
