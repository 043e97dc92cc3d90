import { type HookPoint, under } from '../../tensor/hook-point.ts';
import type { Invariant } from '../../tensor/invariant.ts';
import type { Routing } from '../../tensor/ops/experts.ts';
import { linear, type Linear } from '../../tensor/ops/linear.ts';
import {
  type GroupLimit,
  onlyGroups,
  scatterColumns,
  takeColumns,
  takeScattered,
  topGroups,
  topK,
  topMargin,
} from '../../tensor/ops/top-k.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import { scope } from '../../tensor/scope.ts';
import { derive, tap, watched } from '../../tensor/tap.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { layerWeights, type WeightDeclaration, wholeWeight } from '../weights/weight-point.ts';

/** How a family chooses experts and weights their outputs. */
export interface Choice {
  /** k */
  readonly perToken: number;
  /** The scores that experts are chosen by: a softmax or sigmoid of the logits, or the logits themselves. */
  readonly scores: 'softmax' | 'sigmoid' | 'logits';
  /** Only experts of the best groups can be chosen. Default: all can. */
  readonly groups?: GroupLimit | undefined;
  /** How the scores of the chosen experts become weights: divided by their sum plus `epsilon`, or by a softmax. Default: as they are. */
  readonly normalise?: { readonly by: 'sum'; readonly epsilon: number } | { readonly by: 'softmax' } | undefined;
  /** Factor on the weights, at the end. Default 1. */
  readonly scale?: number | undefined;
}

/** Chooses the experts of each token. Always in f32: two scores may be closer together than bf16 can tell. */
export class Router {
  readonly gate: Linear; // [E, D]
  readonly bias: Parameter | undefined; // [E]
  readonly choice: Choice;

  /** @param bias Added to the scores for the choice, but not for the weights (DeepSeek-V3). */
  constructor(gate: Linear, choice: Choice, bias?: Parameter) {
    this.gate = gate;
    this.choice = choice;
    this.bias = bias;
  }

  /** Its hook points, in the order of the pass. */
  get hooks(): HookPoint[] {
    const { scores, groups } = this.choice;
    const [count] = this.gate.weight.shape;
    return under('mlp', [
      { name: 'router.hook_in', axes: 'p d', meaning: 'what the router reads' },
      { name: 'router.hook_logits', axes: 'p E', meaning: "the router's logits" },
      ...(scores === 'logits'
        ? []
        : [
            {
              name: 'router.hook_scores',
              axes: 'p E',
              meaning: `${scores} of the logits, over all experts`,
              only: 'mixtures whose scores are not the logits themselves',
            },
          ]),
      ...(this.bias ? [BIASED_HOOK] : []),
      ...(groups ? [GROUPS_HOOK] : []),
      MARGIN_HOOK,
      {
        name: 'hook_expert_indices',
        axes: 'p k',
        meaning: 'the chosen experts, best first, i32; an edit forces the choice',
        idsBelow: count,
      },
      { name: 'hook_topk_weights', axes: 'p k', meaning: 'the weights of the chosen experts' },
      EXPERT_WEIGHTS_HOOK,
    ]);
  }

  /** Its weights, under the path of the mixture. */
  get weightPoints(): WeightDeclaration[] {
    return [
      ...layerWeights(this.gate, [{ name: 'router', axes: 'D E', meaning: "makes the router's logits" }]),
      this.bias
        ? wholeWeight('b_choice', this.bias, {
            axes: 'E',
            meaning: 'added to the scores for the choice of experts only',
          })
        : { name: 'b_choice', absence: 'experts are chosen by their scores alone' },
    ];
  }

  get invariants(): Invariant[] {
    const { perToken: k, groups, scores } = this.choice;
    const scored = this.bias ? 'hook_biased_scores' : scores === 'logits' ? 'hook_logits' : 'hook_scores';
    const [open, kept] = [`mlp.router.${scored}`, 'mlp.router.hook_group_indices'];
    const [ids, weights, dense] = ['mlp.hook_expert_indices', 'mlp.hook_topk_weights', 'mlp.hook_expert_weights'];
    return [
      {
        formula: `${ids} = the k largest of ${open}${groups ? `, in the groups of ${kept}` : ''}`,
        hooks: [ids, open, ...(groups ? [kept] : [])],
        tolerance: 0,
        sides: (value) => [
          value(ids),
          topK(groups ? onlyGroups(value(open), value(kept), groups.groups) : value(open), k),
        ],
      },
      {
        formula: `${dense} = ${weights} at the chosen experts, else 0`,
        hooks: [dense, weights, ids],
        tolerance: 0,
        sides: (value) => {
          const shown = value(dense);
          return [shown, scatterColumns(value(weights), value(ids), shown.shape[1])];
        },
      },
    ];
  }

  /** `[T, D]` to the choice of each row. An edit of the chosen experts forces the choice; weights are those of the choice. */
  forward(x: Tensor): Routing {
    const { perToken: k, groups, scale = 1 } = this.choice;
    return scope('mlp', () => {
      const logits = tap('router.hook_logits', linear(tap('router.hook_in', x), this.gate)); //     [T, E]
      const scores = this.#scores(logits); //                                                       [T, E]
      const biased = this.bias ? tap('router.hook_biased_scores', scores.add(this.bias.tensor)) : scores;
      const open = groups ? this.#limited(biased, groups) : biased; //                              [T, E]
      derive('router.hook_margin', () => topMargin(open, k)); //                                    [T]
      const ids = tap('hook_expert_indices', topK(open, k)); //                                     [T, k]
      const chosen = this.#normalised(takeColumns(scores, ids)); //                                 [T, k]
      const weights = tap('hook_topk_weights', scale === 1 ? chosen : chosen.mul(scale));
      return { ids, weights: tapDense(weights, ids, logits.shape[1]) };
    });
  }

  #scores(logits: Tensor): Tensor {
    if (this.choice.scores === 'logits') return logits;
    return tap('router.hook_scores', this.choice.scores === 'softmax' ? logits.softmax() : logits.sigmoid());
  }

  #limited(scores: Tensor, limit: GroupLimit): Tensor {
    const kept = tap('router.hook_group_indices', topGroups(scores, limit)); // [T, kept]
    return onlyGroups(scores, kept, limit.groups);
  }

  #normalised(chosen: Tensor): Tensor {
    const { normalise } = this.choice;
    if (normalise === undefined) return chosen;
    return normalise.by === 'softmax'
      ? chosen.softmax()
      : chosen.div(chosen.sum(-1, { keepDim: true }).add(normalise.epsilon));
  }
}

const BIASED_HOOK: HookPoint = {
  name: 'router.hook_biased_scores',
  axes: 'p E',
  meaning: 'scores with the bias for the choice',
  only: 'mixtures with a bias for the choice',
};
const GROUPS_HOOK: HookPoint = {
  name: 'router.hook_group_indices',
  axes: 'p n',
  meaning: 'the groups that can be chosen from, i32; an edit forces them',
  only: 'mixtures that choose within some groups of experts',
};
const MARGIN_HOOK: HookPoint = {
  name: 'router.hook_margin',
  axes: 'p',
  meaning: 'the last chosen score less the first one that was not chosen',
  derived: true,
  readOnly: { instead: ['mlp.router.hook_logits', 'mlp.hook_expert_indices'] },
};
const EXPERT_WEIGHTS_HOOK: HookPoint = {
  name: 'hook_expert_weights',
  axes: 'p E',
  meaning: 'weights over all experts, 0 for those not chosen; an edit sets those of the chosen ones',
  derived: true,
  zerosBy: ['mlp.hook_expert_indices'],
};

/** Shows weights `[T, k]` to observers as a row over all experts, `[T, E]`; an edit sets those of the chosen ones. */
function tapDense(weights: Tensor, ids: Tensor, count: number): Tensor {
  if (!watched('hook_expert_weights')) return weights;
  const dense = scatterColumns(weights, ids, count);
  const used = tap('hook_expert_weights', dense);
  return used === dense ? weights : takeScattered(used, { weights, ids, dense });
}
