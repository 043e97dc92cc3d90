import { embedding } from '../../tensor/ops/embedding.ts';
import { linear, type Linear } from '../../tensor/ops/linear.ts';
import type { Parameter } from '../../tensor/parameter.ts';
import { VitrineError } from '../../tensor/errors.ts';
import { own, scope, tap } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { LayerLayout } from '../cache.ts';
import type { DecoderConfig } from '../decoder-config.ts';
import type { LayerStep, Step } from '../step.ts';
import type { Weights } from '../weights.ts';
import { type Norm, RmsNorm } from './norm.ts';
import { ropeBorder } from './rope.ts';

/** One layer on the residual stream. */
export interface Layer {
  forward(x: Tensor, step: LayerStep): Tensor;
}

/** What a trunk is made of. */
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
  /** What each layer caches. Default: keys and values of the config's heads. */
  readonly cacheLayout?: readonly LayerLayout[] | undefined;
}

/** The trunk: embedding, layers, final norm, head. */
export class Decoder {
  readonly config: DecoderConfig;
  readonly embed: Parameter; //  [V, D]
  readonly blocks: readonly Layer[];
  readonly lmHead: Linear; //    [V, D]
  /** What a cache for this network holds, by layer. */
  readonly cacheLayout: readonly LayerLayout[];
  /** Of texts longer than this, all keys turn by other angles than of shorter ones: a cache is then computed anew. */
  readonly ropeBorder: number;
  readonly #parts: DecoderParts;

  constructor(config: DecoderConfig, parts: DecoderParts) {
    const { nKvHeads, headDim, windows } = config;
    this.config = config;
    this.embed = parts.embed;
    this.blocks = parts.blocks;
    this.lmHead = parts.lmHead;
    this.cacheLayout =
      parts.cacheLayout ?? windows.map((window) => ({ nKvHeads, keyDim: headDim, valueDim: headDim, window }));
    this.ropeBorder = Math.min(...config.ropes.map(ropeBorder));
    this.#parts = parts;
  }

  /** Tokens that a text can have at most: as many as positions were learned, or Infinity. */
  get maxLength(): number {
    return this.#parts.positions?.shape[0] ?? Infinity;
  }

  /**
   * The forward pass, stopping after every layer so that a long one can be given up; the caller drains it.
   *
   * @param logits Rows of the result: the last of each sequence, or all.
   * @returns `[rows, V]` f32, kept.
   * @throws VitrineError for a position beyond the last that the model has learned.
   */
  *forward(step: Step, logits: 'last' | 'all'): Generator<undefined, Tensor, undefined> {
    let x = scope('', () => own(this.#embedded(step))); //                                            [T, D]
    try {
      for (const [index, block] of this.blocks.entries()) {
        yield;
        const input = x;
        x = scope(`blocks.${index}`, () => own(block.forward(input, step.layer(index)))); //          [T, D]
        if (input !== x) input.dispose();
      }
      yield;
      return scope('', () => {
        const normed = tap('ln_final.hook_out', this.#parts.norm.forward(x, 'ln_final'));
        const rows = logits === 'all' ? normed : normed.gather(step.lastRows()); //                    [rows, D]
        const plain = tap('unembed.hook_out', linear(rows, this.lmHead)); //                           [rows, V]
        return own(tap('hook_logits', this.#bounded(plain)));
      });
    } finally {
      x.dispose();
    }
  }

  #embedded(step: Step): Tensor {
    const { embed, embedScale = 1, positions } = this.#parts;
    const rows = embedding(embed, tap('hook_tokens', step.tokens));
    const embedded = tap('hook_embed', embedScale === 1 ? rows : rows.mul(embedScale)); //             [T, D]
    if (positions === undefined) return embedded;
    if (step.longest > this.maxLength)
      throw new VitrineError(
        `forward: this model has learned ${this.maxLength} positions, and the text would have ${step.longest} tokens. Shorten it.`,
      );
    return embedded.add(tap('hook_pos_embed', embedding(positions, step.positions())));
  }

  #bounded(logits: Tensor): Tensor {
    const { logitScale = 1, logitSoftCap: cap } = this.#parts;
    const scaled = logitScale === 1 ? logits : logits.mul(logitScale);
    return cap === undefined ? scaled : scaled.div(cap).tanh().mul(cap);
  }
}

/** Where a checkpoint has the parts of the trunk; `layers` goes on with a number. */
export interface TrunkNames {
  readonly embed: string;
  readonly layers: string;
  readonly norm: string;
  readonly lmHead: string;
}

/** Llama's names, which most families follow. */
const LLAMA_NAMES: TrunkNames = {
  embed: 'model.embed_tokens',
  layers: 'model.layers',
  norm: 'model.norm',
  lmHead: 'lm_head',
};

/**
 * The trunk with its weights: an RMS norm at the end and Llama's names, where `special` says nothing else.
 *
 * @param block Makes layer `index` from the weights under its path.
 */
export function decoder(
  config: DecoderConfig,
  weights: Weights,
  block: (weights: Weights, index: number) => Layer,
  special: Partial<Omit<DecoderParts, 'blocks'>> & { readonly names?: TrunkNames } = {},
): Decoder {
  const { vocabSize: V, dim: D, nLayers, normEpsilon, tieEmbeddings } = config;
  const { names = LLAMA_NAMES, ...parts } = special;
  const embed = weights.matrix(`${names.embed}.weight`, V, D);
  const blocks = Array.from({ length: nLayers }, (_, index) => block(weights.at(`${names.layers}.${index}`), index));
  const norm = parts.norm ?? new RmsNorm(weights, names.norm, D, normEpsilon);
  // A file that holds a head of its own means it, whatever the config says of tying.
  const tied = tieEmbeddings && !weights.has(`${names.lmHead}.weight`);
  const lmHead = tied ? weights.tied(embed) : weights.linear(names.lmHead, V, D);
  return new Decoder(config, { embed, blocks, norm, lmHead, ...parts });
}
