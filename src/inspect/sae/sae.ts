import { HookError } from '../../hooks/hook-error.ts';
import type { Edit } from '../../hooks/editor.ts';
import { ShapeError } from '../../errors.ts';
import { checkArgument, CALLBACK, numbers, whole } from '../../options.ts';
import { kthLargest } from '../../sampling/quickselect.ts';
import { keep, scope } from '../../tensor/scope.ts';
import { show } from '../../tensor/shape.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { SaeConfig } from './sae-config.ts';

/** The tensors of an autoencoder by SAELens' names, f32; those that its architecture lacks are absent. */
export interface SaeWeights {
  readonly W_enc: Tensor; // [d_in, d_sae]
  readonly W_dec: Tensor; // [d_sae, d_out]
  readonly b_dec: Tensor; // [d_out]
  readonly b_enc?: Tensor; // [d_sae]
  readonly threshold?: Tensor; // [d_sae]
  readonly b_gate?: Tensor; // [d_sae]
  readonly b_mag?: Tensor; // [d_sae]
  readonly r_mag?: Tensor; // [d_sae]
  readonly W_skip?: Tensor; // [d_out, d_in]
}

/** Edits by hook name, for `edit` of `run`, `runBatch` and `generate`. */
export type SaeEdits = Readonly<Record<string, Edit>>;

const FINITE = numbers('a finite number', Number.isFinite);

/**
 * A sparse autoencoder or a transcoder. `splice`, `edit`, `ablate` and `steer` make edits for a pass. Its owner disposes of it.
 *
 * ```ts
 * using sae = await loadSae(model, 'folder');
 * using run = model.run(prompt, { edit: sae.ablate(123) });
 * ```
 */
export class Sae {
  readonly config: SaeConfig;
  readonly weights: SaeWeights;
  /** The hook whose activation is encoded. */
  readonly hook: string;
  /** The hook whose activation is reconstructed: another one for a transcoder only. */
  readonly hookOut: string;
  /** `[d_sae]`: norms of W_dec's rows, where features are scaled by them. */
  readonly #norms: Tensor | undefined;

  /** Takes over `weights`, which are in the backend of the model. */
  constructor(config: SaeConfig, weights: SaeWeights, { hook, hookOut }: { hook: string; hookOut: string }) {
    this.config = config;
    this.weights = weights;
    this.hook = hook;
    this.hookOut = hookOut;
    if (config.rescaleActsByDecoderNorm)
      this.#norms = keep(scope('', () => weights.W_dec.square().sum(-1).sqrt().maximum(1e-8)));
  }

  /**
   * The features of activations: `[..., d_in]` to `[..., d_sae]`; of `attn.hook_z`, `[..., H, d]` to `[..., d_sae]`.
   *
   * @throws {ShapeError} for activations of another width.
   */
  encode(x: Tensor): Tensor {
    const { encoder, applyBDecToInput, isTranscoder, dSae } = this.config;
    const { W_enc, b_dec } = this.weights;
    return scope('', () => {
      const rows = this.#rows(x); //                                                    [N, d_in]
      const norm = this.#normalisation(rows);
      const scaled = norm ? norm.apply(rows) : rows;
      const input = applyBDecToInput && !isTranscoder ? scaled.sub(b_dec) : scaled;
      const product = input.matmul(W_enc); //                                           [N, d_sae]
      const features = encoder === 'gated' ? this.#gated(product) : this.#activated(product.add(this.weights.b_enc!));
      return features.reshape([...this.#leading(x), dSae]);
    });
  }

  /**
   * What features stand for: `[..., d_sae]` to `[..., d_out]`, or to the shape of `x` for an autoencoder.
   *
   * @param x The activation that was encoded. It is needed where the input is normalised at run time, or skips to the result.
   * @throws {ShapeError} where it is needed and left out.
   */
  decode(features: Tensor, x?: Tensor): Tensor {
    const { dOut, dSae, isTranscoder, normalizeActivations, hasSkip } = this.config;
    if (features.shape.at(-1) !== dSae)
      throw new ShapeError(`decode: expected features [..., ${dSae}], got ${show(features.shape)}.`);
    if (x === undefined && (hasSkip || (normalizeActivations !== 'none' && !isTranscoder)))
      throw new ShapeError(
        `decode: this autoencoder ${hasSkip ? 'adds its input to the result' : `undoes ${normalizeActivations} of its input`}: ` +
          'give the activation that was encoded, decode(features, x).',
      );
    return scope('', () => {
      const rows = x && this.#rows(x);
      let decoded = this.#decoded(features).add(this.weights.b_dec); //                 [N, d_out]
      if (rows !== undefined && !isTranscoder) decoded = this.#normalisation(rows)?.undo(decoded) ?? decoded;
      if (hasSkip) decoded = decoded.add(rows!.matmul(this.weights.W_skip!, { transposeB: true }));
      if (x === undefined || isTranscoder) return decoded.reshape([...features.shape.slice(0, -1), dOut]);
      return decoded.reshape(x.shape);
    });
  }

  /** Edits that replace the activation by its reconstruction; for a transcoder, the activation of its second hook. */
  splice(): SaeEdits {
    return this.#edits((x) => this.decode(this.encode(x), x));
  }

  /**
   * Edits that change features and keep what the features do not explain: the activation becomes
   * `x + decode(changed) - decode(features)`.
   *
   * @param change Gives the features that take the place of `[T, d_sae]`.
   */
  edit(change: (features: Tensor) => Tensor): SaeEdits {
    checkArgument('edit', 'the change', change, CALLBACK);
    return this.#edits((x, value) => {
      const features = this.encode(x);
      const moved = this.#decoded(change(features).sub(features)); //                   [N, d_out]
      const scale = this.config.isTranscoder ? undefined : this.#normalisation(this.#rows(x))?.scale;
      return value.add((scale ? moved.mul(scale) : moved).reshape(value.shape));
    });
  }

  /** Edits that set features to 0 at all positions. @throws {OptionError} for an index that is no feature. */
  ablate(...features: readonly number[]): SaeEdits {
    const kept = new Float32Array(this.config.dSae).fill(1);
    for (const feature of features) kept[this.#checked('ablate', feature)] = 0;
    return this.edit((all) => all.mul(Tensor.from(all.backend, kept)));
  }

  /**
   * Edits that add to a feature at all positions: the activation moves along its direction in W_dec.
   *
   * @param amount In the units of the feature's activation.
   * @throws {OptionError} for an index that is no feature.
   */
  steer(feature: number, amount: number): SaeEdits {
    checkArgument('steer', 'the amount', amount, FINITE);
    const added = new Float32Array(this.config.dSae);
    added[this.#checked('steer', feature)] = amount;
    return this.edit((all) => all.add(Tensor.from(all.backend, added)));
  }

  /** Frees the weights. */
  dispose(): void {
    for (const tensor of Object.values(this.weights) as Tensor[]) tensor.dispose();
    this.#norms?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checked(call: string, feature: number): number {
    checkArgument(call, 'a feature', feature, whole(0, this.config.dSae - 1));
    return feature;
  }

  /** @param change Gives the new activation of `hookOut` by that of `hook` and its own value. */
  #edits(change: (x: Tensor, value: Tensor) => Tensor): SaeEdits {
    if (this.hook === this.hookOut) return { [this.hook]: (value) => scope('', () => change(value, value)) };
    // In a pass over several sequences, all inputs are seen before the first output, in the same order.
    const inputs: { values: Float32Array; shape: readonly number[] }[] = [];
    return {
      [this.hook]: (x) => {
        inputs.push({ values: x.data(), shape: x.shape });
        return undefined;
      },
      [this.hookOut]: (value) => {
        const input = inputs.shift();
        if (input === undefined)
          throw new HookError(
            `edit of ${this.hookOut}: the pass did not compute ${this.hook}, which the transcoder reads.`,
          );
        return scope('', () => change(Tensor.from(value.backend, input.values, input.shape), value));
      },
    };
  }

  /** Axes of `x` that are not its width. */
  #leading({ shape }: Tensor): readonly number[] {
    return shape.slice(0, this.#flattensHeads ? -2 : -1);
  }

  get #flattensHeads(): boolean {
    return this.config.reshapeActivations === 'hook_z' && !this.config.isTranscoder;
  }

  #rows(x: Tensor): Tensor {
    const { dIn } = this.config;
    const width = x.shape.slice(this.#flattensHeads ? -2 : -1).reduce((product, size) => product * size, 1);
    if (width !== dIn || x.shape.length < (this.#flattensHeads ? 2 : 1))
      throw new ShapeError(
        `encode: expected activations [..., ${this.#flattensHeads ? 'H, d], H times d ' : ''}${dIn}${this.#flattensHeads ? '' : ']'}, ` +
          `got ${show(x.shape)}. The autoencoder reads ${this.hook}.`,
      );
    return x.reshape([-1, dIn]);
  }

  /** How rows `[N, d_in]` are scaled, and how that is undone; undefined where they are not. */
  #normalisation(rows: Tensor): Normalisation | undefined {
    const { normalizeActivations, dIn } = this.config;
    if (normalizeActivations === 'none') return undefined;
    if (normalizeActivations === 'constant_norm_rescale') {
      const scale = rows.square().sum(-1, { keepDim: true }).sqrt().div(Math.sqrt(dIn)); //                  [N, 1]
      return { scale, apply: (x) => x.div(scale), undo: (y) => y.mul(scale) };
    }
    const mean = rows.mean(-1, { keepDim: true }); // [N, 1]
    const scale = rows
      .sub(mean)
      .square()
      .sum(-1, { keepDim: true })
      .div(dIn - 1)
      .sqrt(); //                 [N, 1]
    return {
      scale,
      apply: (x) => x.sub(mean).div(scale.add(1e-5)),
      undo: (y) => y.mul(scale).add(mean),
    };
  }

  /** Features of products with their bias; on the host, where they depend on comparisons. */
  #activated(pre: Tensor): Tensor {
    const { encoder, k, dSae } = this.config;
    if (encoder === 'relu') return pre.maximum(0);
    const values = (this.#norms ? pre.mul(this.#norms) : pre).data();
    const threshold = this.weights.threshold?.data();
    for (let start = 0; start < values.length; start += dSae) {
      const row = values.subarray(start, start + dSae);
      if (threshold) row.forEach((value, i) => (row[i] = value > threshold[i] ? Math.max(value, 0) : 0));
      else keepLargest(row, k!);
    }
    return Tensor.from(pre.backend, values, pre.shape);
  }

  /** As in Rajamanoharan et al., arXiv 2404.16014: where the gate is open, a magnitude of weights `W_enc exp(r_mag)`. */
  #gated(product: Tensor): Tensor {
    const { b_gate, b_mag, r_mag } = this.weights;
    const gate = product.add(b_gate!).data();
    const magnitude = product.mul(r_mag!.exp()).add(b_mag!).maximum(0).data();
    return Tensor.from(
      product.backend,
      magnitude.map((value, i) => (gate[i] > 0 ? value : 0)),
      product.shape,
    );
  }

  /** The decoder without its bias: `[..., d_sae]` to `[N, d_out]`. */
  #decoded(features: Tensor): Tensor {
    const rows = features.reshape([-1, this.config.dSae]);
    return (this.#norms ? rows.div(this.#norms) : rows).matmul(this.weights.W_dec);
  }
}

interface Normalisation {
  readonly scale: Tensor; // [N, 1]
  readonly apply: (x: Tensor) => Tensor;
  readonly undo: (y: Tensor) => Tensor;
}

/** Sets all but the `k` largest to 0, and those below 0; of equal ones the first are kept. */
function keepLargest(row: Float32Array, k: number): void {
  const least = kthLargest(row, k);
  let ties = k - row.reduce((count, value) => count + (value > least ? 1 : 0), 0);
  row.forEach((value, i) => {
    row[i] = value > least || (value === least && ties-- > 0) ? Math.max(value, 0) : 0;
  });
}
