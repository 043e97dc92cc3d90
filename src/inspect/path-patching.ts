import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { VitrineError } from '../errors.ts';
import { OptionError } from '../options.ts';
import { scope } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { measured, type Metric } from './metric.ts';

/** A head of a layer. */
export interface HeadPlace {
  readonly layer: number;
  readonly head: number;
}

/** Which path is patched, and what is measured. */
export interface PathPatchingOptions {
  /** The prompt whose activations are put in. */
  readonly clean: Prompt;
  /** The prompt that runs, of as many tokens. */
  readonly corrupt: Prompt;
  /** The heads at which paths begin, each by itself; in layers below the receiver's. */
  readonly senders: readonly HeadPlace[];
  /** The head whose queries are where the paths end. */
  readonly receiver: HeadPlace;
  /**
   * Whether MLPs between the two pass the change on (`mlps`, default), or are held at their values in the corrupt run
   * (`direct`).
   */
  readonly through?: 'mlps' | 'direct' | undefined;
  readonly metric: Metric;
}

/**
 * Path patching (Wang et al., 2022): the metric of the corrupt prompt where the receiver's queries are those that it would have
 * if the sender alone had its clean output, and every other head below the receiver its corrupt one. One number for each
 * sender; products are in f32.
 *
 * @throws {VitrineError} for prompts of different lengths.
 * @throws {OptionError} for a sender that is not below the receiver, and for heads that the model does not have.
 */
export function pathPatching(model: Model, options: PathPatchingOptions): Float32Array {
  const { senders, receiver, through = 'mlps', metric } = options;
  const [clean, tokens] = [options.clean, options.corrupt].map((prompt) => model.tokensOf(prompt));
  if (clean.length !== tokens.length)
    throw new VitrineError(
      `pathPatching: expected prompts of as many tokens, got ${clean.length} and ${tokens.length}.`,
    );
  for (const head of [...senders, receiver]) expectHead(model, head);
  if (senders.some(({ layer }) => layer >= receiver.layer))
    throw new OptionError(`pathPatching: expected senders in layers below ${receiver.layer}, the receiver's.`);
  const layers = Array.from({ length: receiver.layer }, (_, layer) => layer);
  const held = [...layers.map(zOf), ...(through === 'direct' ? layers.map(mlpOf) : [])];
  const stream = (layer: number): string => `blocks.${layer}.hook_resid_pre`;
  const streams = [...new Set([...senders.map(({ layer }) => layer), receiver.layer])].map(stream);
  using base = model.run(tokens, { capture: [...held, ...streams], until: stream(receiver.layer) });
  using source = model.run(clean, { capture: layers.map(zOf), until: zOf(receiver.layer - 1) });
  const baseActs: Readonly<Record<string, Tensor>> = base.acts;
  const cleanActs: Readonly<Record<string, Tensor>> = source.acts;
  const query = `blocks.${receiver.layer}.attn.hook_q`;

  // First pass: what reaches the receiver's queries.
  const hold = (name: string): Edit => [name, () => baseActs[name]];
  const reached = model.runBatch(
    senders.map(({ layer, head }) => ({
      prompt: tokens,
      from: { layer, residual: baseActs[stream(layer)] },
      edit: Object.fromEntries([
        ...held.filter((name) => layerOf(name) >= layer).map(hold),
        [zOf(layer), () => withHead(baseActs[zOf(layer)], cleanActs[zOf(layer)], head)],
      ] satisfies Edit[]),
    })),
    { capture: [query], until: query },
  );
  // Second pass: the corrupt prompt with these queries, nothing held.
  const runs = model.runBatch(
    reached.map(({ acts }) => ({
      prompt: tokens,
      from: { layer: receiver.layer, residual: baseActs[stream(receiver.layer)] },
      edit: { [query]: (value: Tensor) => withHead(value, (acts as Record<string, Tensor>)[query], receiver.head) },
    })),
    { rows: 'last' },
  );
  const values = Float32Array.from(runs, ({ logits }) => measured(metric, logits));
  for (const run of [...reached, ...runs]) run.dispose();
  return values;
}

type Edit = [name: string, change: (value: Tensor) => Tensor | Float32Array];

const zOf = (layer: number): string => `blocks.${layer}.attn.hook_z`;
const mlpOf = (layer: number): string => `blocks.${layer}.hook_mlp_out`;
const layerOf = (name: string): number => Number(name.split('.')[1]);

function expectHead({ config: { nLayers, nHeads } }: Model, { layer, head }: HeadPlace): void {
  const isIndex = (x: number, below: number): boolean => Number.isInteger(x) && x >= 0 && x < below;
  if (!isIndex(layer, nLayers) || !isIndex(head, nHeads))
    throw new OptionError(
      `pathPatching: expected heads of ${nLayers} layers with ${nHeads} heads each, got layer ${layer}, head ${head}.`,
    );
}

/** The numbers of `[T, H, width]` with those of one head from another tensor. */
function withHead(values: Tensor, other: Tensor, head: number): Float32Array {
  const [T, H, width] = values.shape;
  return scope('', () => {
    const numbers = values.data();
    const taken = other.data();
    for (let t = 0; t < T; t++) {
      const at = (t * H + head) * width;
      numbers.set(taken.subarray(at, at + width), at);
    }
    return numbers;
  });
}
