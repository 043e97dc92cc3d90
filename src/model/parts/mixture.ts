import { type HookPoint, onlyIn, under } from '../../tensor/hook-point.ts';
import { type Expert, experts, expertsHooks, type GatedActivation } from '../../tensor/ops/experts.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import { productInvariant } from '../../tensor/ops/linear.ts';
import { scope } from '../../tensor/scope.ts';
import { tap } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { WeightDeclaration } from '../weights/weight-point.ts';
import type { Weights } from '../weights/weights.ts';
import type { FeedForward } from './block.ts';
import { type GatedMlp, gatedWeights } from './mlp.ts';
import type { Router } from './router.ts';

/** A mixture of experts, with the expert that every token goes to where the family has one. */
export class Mixture implements FeedForward {
  readonly router: Router;
  readonly experts: readonly Expert[];
  readonly activation: GatedActivation;
  readonly shared: GatedMlp | undefined;

  constructor(parts: Pick<Mixture, 'router' | 'experts' | 'activation'> & { readonly shared?: GatedMlp | undefined }) {
    this.router = parts.router;
    this.experts = parts.experts;
    this.activation = parts.activation;
    this.shared = parts.shared;
  }

  get hooks(): HookPoint[] {
    const shared = (this.shared?.hooks ?? []).map((hook) => ({ ...hook, only: 'layers with a shared expert' }));
    return [
      ...onlyIn('layers with a mixture of experts', [...this.router.hooks, ...expertsHooks(this.experts.length)]),
      ...shared,
      { name: 'mlp.hook_out', axes: 'p d', meaning: 'output of the mixture' },
    ];
  }

  get weightPoints(): WeightDeclaration[] {
    return [
      ...under('mlp', this.router.weightPoints),
      ...this.experts.flatMap(({ gateUp, down }, expert) => under(`mlp.experts.${expert}`, gatedWeights(gateUp, down))),
      ...(this.shared?.weightPoints ?? lacking('mlp.shared', 'no expert is shared by all tokens')),
      ...lacking('mlp', IN_EXPERTS),
    ];
  }

  get invariants(): Invariant[] {
    const { shared } = this;
    return [
      ...this.router.invariants,
      ...this.experts.flatMap((expert, index) => this.#invariantsOf(expert, `mlp.experts.${index}`)),
      ...(shared?.invariants ?? []),
      {
        formula: `mlp.hook_out = sum of mlp.hook_topk_weights * mlp.hook_expert_out${shared ? ' + mlp.shared.hook_out' : ''}`,
        hooks: [
          'mlp.hook_out',
          'mlp.hook_topk_weights',
          'mlp.hook_expert_out',
          ...(shared ? ['mlp.shared.hook_out'] : []),
        ],
        tolerance: 1e-5,
        sides: (value) => {
          const [out, weights] = [value('mlp.hook_expert_out'), value('mlp.hook_topk_weights')];
          const routed = out.mul(weights.unsqueeze(-1)).sum(1); // [T, D]
          return [value('mlp.hook_out'), shared ? routed.add(value('mlp.shared.hook_out')) : routed];
        },
      },
    ];
  }

  #invariantsOf({ down }: Expert, path: string): Invariant[] {
    const [pre, preLinear, post] = ['hook_pre', 'hook_pre_linear', 'hook_post'].map((hook) => `${path}.${hook}`);
    return [
      {
        formula: `${post} = act(${pre}, ${preLinear})`,
        hooks: [post, pre, preLinear],
        tolerance: 1e-5,
        sides: (value) => [value(post), this.activation(value(pre), value(preLinear))],
      },
      productInvariant(`${path}.hook_out`, post, 'W_out', down),
    ];
  }

  /** `[T, D]` to `[T, D]`. */
  forward(x: Tensor): Tensor {
    return scope('', () => {
      const routed = experts(x, this.router.forward(x), this.experts, this.activation); //   [T, D]
      return tap('mlp.hook_out', this.shared ? routed.add(this.shared.forward(x)) : routed);
    });
  }
}

const lacking = (path: string, absence: string): WeightDeclaration[] =>
  ['gate', 'in', 'out'].map((name) => ({ name: `${path}.W_${name}`, absence }));

const IN_EXPERTS = 'the layer is a mixture: mlp.W_router, and the matrices of mlp.experts.0, mlp.experts.1, ...';

/** A family's names for the three matrices of an expert. */
export interface ExpertNames {
  readonly gate: string;
  readonly up: string;
  readonly down: string;
}

const LLAMA_NAMES: ExpertNames = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };

/**
 * Experts `0`, `1`, ... under a path, each with its matrices `[F, D]`, `[F, D]` and `[D, F]`, as their makers publish
 * them; or stacked in `gate_up_proj` `[E, 2F, D]` and `down_proj` `[E, D, F]`, as transformers 5 holds them.
 */
export function expertWeights(
  weights: Weights,
  { count, dim: D, expertDim: F }: { readonly count: number; readonly dim: number; readonly expertDim: number },
  { gate, up, down } = LLAMA_NAMES,
): Expert[] {
  const isStacked = weights.has('gate_up_proj');
  return Array.from({ length: count }, (_, index) => {
    if (!isStacked) {
      const own = weights.at(String(index));
      return { gateUp: own.linear({ [gate]: F, [up]: F }, D), down: own.linear({ [down]: D }, F) };
    }
    const stack = { index, count };
    const layer = (name: string, shape: readonly number[]) =>
      weights.layer(`${name}.${index}`, [{ weight: { name, shape, stack } }]);
    return { gateUp: { ...layer('gate_up_proj', [2 * F, D]), sizes: [F, F] }, down: layer('down_proj', [D, F]) };
  });
}
