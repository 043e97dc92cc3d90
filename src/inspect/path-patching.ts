import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import type { From } from '../engine/run/run-options.ts';
import { OptionError } from '../options.ts';
import { scope } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { measured, type Metric } from './metric.ts';
import { pairOf, withHead } from './prompt-pair.ts';

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
  const { cleanTokens, tokens, begin } = pairOf(model, 'pathPatching', options);
  for (const head of [...senders, receiver]) expectHead(model, head);
  if (senders.some(({ layer }) => layer >= receiver.layer))
    throw new OptionError(`pathPatching: expected senders in layers below ${receiver.layer}, the receiver's.`);
  const layers = Array.from({ length: receiver.layer }, (_, layer) => layer);
  const held = [...layers.map(zOf), ...(through === 'direct' ? layers.map(mlpOf) : [])];
  const starts = [...new Set([...senders.map(({ layer }) => layer), receiver.layer])];
  using cache = model.newCache();
  using base = model.run(tokens, { cache, capture: [...held, ...starts.map(streamOf)], rows: 'last' });
  if (begin === tokens.length) return new Float32Array(senders.length).fill(measured(metric, base.logits)); // The prompts are one.
  using source = model.run(cleanTokens, { capture: layers.map(zOf), until: zOf(receiver.layer - 1) });
  return scope('', () => {
    /** Rows of the tokens from the first one that differs. */
    const rowsOf = (acts: Readonly<Record<string, Tensor>>, name: string): Tensor => {
      const { shape } = acts[name];
      return acts[name].slice([begin, ...shape.slice(1).map(() => 0)], [-1, ...shape.slice(1)]);
    };
    const baseRows = new Map([...held, ...starts.map(streamOf)].map((name) => [name, rowsOf(base.acts, name)]));
    const cleanRows = new Map(layers.map((layer) => [zOf(layer), rowsOf(source.acts, zOf(layer)).data()]));
    const from = (layer: number): From => ({ layer, residual: baseRows.get(streamOf(layer))!, cache });
    const query = `blocks.${receiver.layer}.attn.hook_q`;

    // First pass: what reaches the receiver's queries.
    const hold = (name: string): Edit => [name, () => baseRows.get(name)!];
    const reached = model.runBatch(
      senders.map(({ layer, head }) => ({
        prompt: tokens,
        from: from(layer),
        edit: Object.fromEntries([
          ...held.filter((name) => layerOf(name) >= layer).map(hold),
          [zOf(layer), () => withHead(baseRows.get(zOf(layer))!, cleanRows.get(zOf(layer))!, head)],
        ] satisfies Edit[]),
      })),
      { capture: [query], until: query },
    );
    // Second pass: the corrupt prompt with these queries, nothing held.
    const runs = model.runBatch(
      reached.map(({ acts }) => ({
        prompt: tokens,
        from: from(receiver.layer),
        edit: { [query]: (value: Tensor) => withHead(value, acts[query].data(), receiver.head) },
      })),
      { rows: 'last' },
    );
    const values = Float32Array.from(runs, ({ logits }) => measured(metric, logits));
    for (const run of [...reached, ...runs]) run.dispose();
    return values;
  });
}

type Edit = [name: string, change: (value: Tensor) => Tensor | Float32Array];

const streamOf = (layer: number): string => `blocks.${layer}.hook_resid_pre`;
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
