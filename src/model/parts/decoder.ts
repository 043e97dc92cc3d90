import { type Hook, type HookPoint, under } from '../../tensor/hook-point.ts';
import { embedding } from '../../tensor/ops/embedding.ts';
import { linear, type Linear } from '../../tensor/ops/linear.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import { VitrineError } from '../../errors.ts';
import { own, scope } from '../../tensor/scope.ts';
import { tap } from '../../tensor/tap.ts';
import { type Invariant, invariantsUnder, type ModelInvariant } from '../../tensor/invariant.ts';
import { concat, Tensor } from '../../tensor/tensor.ts';
import type { LayerLayout } from '../cache/kv-cache.ts';
import type { DecoderConfig } from '../config/decoder-config.ts';
import { describedOnConsole } from '../config/describe-config.ts';
import { type Layer, sumInvariant } from './block.ts';
import type { Step } from './step.ts';
import { layerWeights, type WeightDeclaration, wholeWeight } from '../weights/weight-point.ts';
import type { Weights } from '../weights/weights.ts';
import { type Norm, RmsNorm } from './norm.ts';
import { ropeBorder } from './rope.ts';

/** The parts of a decoder, and its factors. */
export interface DecoderParts {
  readonly embed: Parameter; // [V, D]
  /** Factor on the embeddings. Default 1. */
  readonly embedScale?: number | undefined;
  /** `[P, D]`, a vector for each position, added to the embeddings. Default: none; a text can then be of any length. */
  readonly positions?: Parameter | undefined;
  readonly blocks: readonly Layer[];
  readonly norm: Norm;
  readonly lmHead: Linear; // [V, D]
  /** Factor on the logits. Default 1. */
  readonly logitScale?: number | undefined;
  /** `cap * tanh(logit / cap)` bounds them. Default: they are not bounded. */
  readonly logitSoftCap?: number | undefined;
}

/** The rows whose logits a pass computes: the last of each sequence, all, or those given for each, counted from its first one. */
export type Rows = 'last' | 'all' | readonly (readonly number[])[];

/** A decoder-only transformer: embedding, layers, final norm, head. */
export class Decoder {
  readonly config: DecoderConfig;
  readonly embed: Parameter; //  [V, D]
  readonly blocks: readonly Layer[];
  readonly lmHead: Linear; //    [V, D]
  /** The layout of a cache for this network, by layer. */
  readonly cacheLayout: readonly LayerLayout[];
  /** Texts longer than this have all keys rotated by other angles than shorter ones, so that a cache is recomputed; tokens. */
  readonly ropeBorder: number;
  readonly #parts: DecoderParts;
  #hooks: readonly Hook[] | undefined;

  constructor(config: DecoderConfig, parts: DecoderParts) {
    this.config = describedOnConsole(config);
    this.embed = parts.embed;
    this.blocks = parts.blocks;
    this.lmHead = parts.lmHead;
    this.cacheLayout = parts.blocks.map(({ attn }) => attn.cacheLayout);
    this.ropeBorder = Math.min(...config.ropes.map(ropeBorder));
    this.#parts = parts;
  }

  /** Tokens that a text can have at most: as many as positions were learned, or Infinity. */
  get maxLength(): number {
    return this.#parts.positions?.shape[0] ?? Infinity;
  }

  /** The hook points of a pass, in its order. */
  get hooks(): readonly Hook[] {
    return (this.#hooks ??= this.#listHooks());
  }

  #listHooks(): Hook[] {
    const { positions, norm } = this.#parts;
    const tokens = { name: 'hook_tokens', axes: 'p', meaning: 'token ids, i32', idsBelow: this.config.vocabSize };
    const first = [tokens, EMBED_HOOK, ...(positions ? [POSITION_HOOK] : [])];
    const last = [...under('ln_final', norm.hooks), ...HEAD_HOOKS];
    const inLayer = (layer: number | undefined, points: readonly HookPoint[]): Hook[] =>
      points.map((point) => ({ ...point, layer }));
    return [
      ...inLayer(undefined, first),
      ...this.blocks.flatMap((block, layer) => inLayer(layer, under(`blocks.${layer}`, block.hooks))),
      ...inLayer(undefined, last),
    ];
  }

  /** The weights, in the order of the pass, and those that the network lacks. */
  get weightPoints(): WeightDeclaration[] {
    const { positions, norm } = this.#parts;
    return [
      wholeWeight('W_E', this.embed, { axes: 'V D', meaning: 'embedding of each token, before it is scaled' }),
      positions
        ? wholeWeight('W_pos', positions, { axes: 'P D', meaning: 'what is added at each position' })
        : { name: 'W_pos', absence: 'positions are not learned' },
      ...this.blocks.flatMap((block, layer) => under(`blocks.${layer}`, block.weightPoints)),
      ...under('ln_final', norm.weightPoints),
      ...layerWeights(this.lmHead, [{ name: 'U', axes: 'D V', meaning: 'makes the logits, before they are scaled' }]),
    ];
  }

  /** What holds between the hook points, by their full names, in the order of the pass. */
  get invariants(): ModelInvariant[] {
    const positions = this.#parts.positions ? ['hook_pos_embed'] : [];
    const input = (layer: number): Invariant =>
      layer === 0
        ? sumInvariant('blocks.0.hook_resid_pre', 'hook_embed', ...positions)
        : sumInvariant(`blocks.${layer}.hook_resid_pre`, `blocks.${layer - 1}.hook_resid_post`);
    const inLayers = this.blocks.flatMap((block, layer) =>
      [input(layer), ...invariantsUnder(`blocks.${layer}`, block.invariants)].map((one) => ({ ...one, layer })),
    );
    return [...inLayers, this.#logitsInvariant()];
  }

  /** The logit lens at the last layer is the output. */
  #logitsInvariant(): ModelInvariant {
    const last = `blocks.${this.config.nLayers - 1}.hook_resid_post`;
    return {
      formula: "hook_logits = final norm, head, scale and bound of the last block's hook_resid_post",
      hooks: ['hook_logits', last],
      layer: undefined,
      tolerance: 1e-4,
      sides: (value, { positions, logitPositions }) => {
        const residual = value(last);
        const rows = Int32Array.from(logitPositions, (position) => positions.indexOf(position));
        return [value('hook_logits'), this.unembed(residual, rows)];
      },
    };
  }

  /**
   * The forward pass. It stops after every layer, so that a long one can be given up; the caller drains it.
   *
   * @param rows Rows of the result: see `Rows`.
   * @returns `[rows, V]` f32, kept.
   * @throws {VitrineError} for a position beyond the last that the model has learned.
   */
  *forward(step: Step, rows: Rows): Generator<undefined, Tensor, undefined> {
    let x: Tensor | undefined; //                                                                    [T, D]
    try {
      for (const [index, block] of this.blocks.entries()) {
        const input = this.#input(step, index, x); //                                                [T, D]
        if (input === undefined) continue; // No sequence is in the pass yet.
        x = input;
        yield;
        x = scope(`blocks.${index}`, () => own(block.forward(input, step.layer(index)))); //          [T, D]
        if (input !== x) input.dispose();
      }
      yield;
      const final = x!;
      return scope('', () => own(this.unembed(final, rows === 'all' ? undefined : step.chosenRows(rows))));
    } finally {
      x?.dispose();
    }
  }

  /** What a layer reads: the stream `x`, which is used up, with the sequences that enter behind it. */
  #input(step: Step, layer: number, x: Tensor | undefined): Tensor | undefined {
    const entering = step.entering(layer);
    if (entering === undefined) return layer === 0 ? scope('', () => own(this.embedded(step))) : x;
    if (entering.length === 0) return x;
    const joined = scope('', () => own(concat(x ? [x, ...entering] : entering)));
    x?.dispose();
    return joined;
  }

  /**
   * Logits of a residual stream `[T, D]`: final norm, head, scale and bound. `[T, V]` f32.
   *
   * @param rows Those whose logits are computed. Default: all.
   */
  unembed(residual: Tensor, rows?: Int32Array): Tensor {
    return scope('', () => {
      const normed = tap('ln_final.hook_out', this.#parts.norm.forward(residual, 'ln_final')); //        [T, D]
      const plain = tap('unembed.hook_out', linear(rows ? normed.gather(rows) : normed, this.lmHead)); // [rows, V]
      return tap('hook_logits', this.#bounded(plain));
    });
  }

  /** The residual stream before the first block: embeddings and, where the model has learned them, positions. `[T, D]` f32. */
  embedded(step: Step): Tensor {
    const { embed, embedScale = 1, positions } = this.#parts;
    return scope('', () => {
      const rows = embedding(embed, tap('hook_tokens', step.tokens));
      const embedded = tap('hook_embed', embedScale === 1 ? rows : rows.mul(embedScale)); //           [T, D]
      if (positions === undefined) return embedded;
      if (step.longest > this.maxLength)
        throw new VitrineError(
          `forward: this model has learned ${this.maxLength} positions, and the text would have ${step.longest} tokens. Shorten it.`,
        );
      return embedded.add(tap('hook_pos_embed', embedding(positions, step.positions())));
    });
  }

  #bounded(logits: Tensor): Tensor {
    const { logitScale = 1, logitSoftCap: cap } = this.#parts;
    const scaled = logitScale === 1 ? logits : logits.mul(logitScale);
    return cap === undefined ? scaled : scaled.div(cap).tanh().mul(cap);
  }
}

const EMBED_HOOK: HookPoint = {
  name: 'hook_embed',
  axes: 'p d',
  meaning: 'embeddings, scaled where the model scales them',
};
const POSITION_HOOK: HookPoint = {
  name: 'hook_pos_embed',
  axes: 'p d',
  meaning: 'the learned vector of each position, which is added',
  only: 'models with learned positions',
};
const HEAD_HOOKS: readonly HookPoint[] = [
  { name: 'ln_final.hook_out', axes: 'p d', meaning: 'what the head reads' },
  {
    name: 'unembed.hook_out',
    axes: 'l V',
    meaning: 'what the head gives; the last row only, unless all are asked for',
  },
  {
    name: 'hook_logits',
    axes: 'l V',
    meaning: 'what the sampler receives: scaled and bounded, where the model does so',
  },
];

/** The names of the decoder's parts in a checkpoint. */
export interface TrunkNames {
  /** The path of all parts but the head, if no other is found. */
  readonly prefix: string;
  readonly embed: string;
  /** The index of a layer follows it. */
  readonly layers: string;
  readonly norm: string;
  /** The names that files have for the head, the usual one first; it is beside the other parts or further up. */
  readonly heads: readonly string[];
}

/** Llama's names, which most families follow. */
const LLAMA_NAMES: TrunkNames = {
  prefix: 'model',
  embed: 'embed_tokens',
  layers: 'layers',
  norm: 'norm',
  heads: ['lm_head'],
};

/** What differs between families in the trunk. */
export interface TrunkOptions extends Partial<
  Omit<DecoderParts, 'embed' | 'blocks' | 'lmHead' | 'norm' | 'positions'>
> {
  readonly names?: TrunkNames;
  /** Makes the final norm from the weights under the trunk's path. Default: an RMS norm. */
  readonly norm?: (trunk: Weights, name: string) => Norm;
  /** Makes the learned positions likewise. Default: none. */
  readonly positions?: (trunk: Weights) => Parameter;
}

/**
 * A decoder with its weights. Its path is found in the checkpoint: files of a model that is part of another, or that were
 * saved without their head, have one path more or less than `names` says.
 *
 * @param block Makes layer `index` from the weights under its path.
 */
export function decoder(
  config: DecoderConfig,
  weights: Weights,
  block: (weights: Weights, index: number) => Layer,
  { names = LLAMA_NAMES, norm, positions, ...parts }: TrunkOptions = {},
): Decoder {
  const { vocabSize: V, dim: D, nLayers, normEpsilon, tieEmbeddings } = config;
  const path = trunkPath(weights, names, [V, D]);
  const trunk = weights.at(path);
  const head = headPath(weights, path, names.heads);
  weights.describeTrunk({ path, head, layers: names.layers, nLayers });
  const embed = trunk.matrix(`${names.embed}.weight`, [V, D]);
  const made = {
    positions: positions?.(trunk),
    blocks: Array.from({ length: nLayers }, (_, index) => block(trunk.at(`${names.layers}.${index}`), index)),
    norm: norm?.(trunk, names.norm) ?? new RmsNorm(trunk, names.norm, D, normEpsilon),
  };
  // A file that holds a head of its own means it, whatever the config says of tying.
  const tied = tieEmbeddings && !weights.has(`${head}.weight`);
  const lmHead = tied ? weights.tied(embed) : weights.linear({ [head]: V }, D);
  // Logits are compared and subtracted: they are never rounded to bf16.
  return new Decoder(config, { embed, lmHead: { ...lmHead, isExact: true }, ...made, ...parts });
}

/** The path that has an embedding and a final norm: the usual one, else one where the embedding has the right shape, else any. */
function trunkPath(weights: Weights, { prefix, embed, norm }: TrunkNames, shape: readonly number[]): string {
  const paths = weights.pathsOf(`${embed}.weight`).filter((path) => weights.at(path).has(`${norm}.weight`));
  if (paths.includes(prefix)) return prefix;
  return paths.find((path) => weights.at(path).has(`${embed}.weight`, shape)) ?? paths.at(0) ?? prefix;
}

function headPath(weights: Weights, trunk: string, heads: readonly string[]): string {
  const steps = trunk.split('.');
  for (let length = steps.length; length >= 0; length--) {
    for (const head of heads) {
      const path = [...steps.slice(0, length), head].filter((step) => step !== '').join('.');
      if (weights.has(`${path}.weight`)) return path;
    }
  }
  return heads[0];
}
