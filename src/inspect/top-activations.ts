import type { Model } from '../engine/model.ts';
import type { Prompt } from '../engine/prompt.ts';
import { nextTurn } from '../platform/event-loop.ts';
import { CALLBACK, checkOptions, type Checks, listOf, NAME, OptionError, SIGNAL, whole } from '../options.ts';
import { scope } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { tokenTexts } from './token-text.ts';

/** Which neurons are looked at, and how much is kept. */
export interface TopActivationsOptions {
  /** A hook with a row for each position, such as `blocks.12.mlp.hook_post`; further axes are counted end to end. */
  readonly hook: string;
  /** Indices of neurons. Default: all of the hook. */
  readonly neurons?: readonly number[] | undefined;
  /** Activations that are kept for each neuron. Default: 10. */
  readonly k?: number | undefined;
  /** Tokens of context on each side. Default: 5. */
  readonly context?: number | undefined;
  /**
   * Makes the neurons of the hook's activation, `[T, ...]` to `[T, N]`: `(x) => sae.encode(x)` looks at the features of an
   * autoencoder. Default: the activation itself.
   */
  readonly of?: ((activation: Tensor) => Tensor) | undefined;
  /** Ends the search with the signal's reason, between texts. */
  readonly signal?: AbortSignal | undefined;
}

/** A place where a neuron is active. */
export interface TopActivation {
  readonly activation: number;
  /** The index of the text. */
  readonly text: number;
  readonly position: number;
  readonly token: string;
  /** The tokens before and after, as text. */
  readonly before: string;
  readonly after: string;
}

/** A neuron and where it is most active, the strongest first; of equal ones the first that was met. */
export interface NeuronActivations {
  readonly neuron: number;
  readonly top: readonly TopActivation[];
}

const CHECKS: Checks<TopActivationsOptions> = {
  hook: NAME,
  neurons: listOf('whole numbers from 0', (neuron) => Number.isSafeInteger(neuron) && (neuron as number) >= 0),
  k: whole(1),
  context: whole(0),
  of: CALLBACK,
  signal: SIGNAL,
};

/**
 * The tokens of texts at which neurons are most active. Texts are taken one after the other, and only `k` places for each
 * neuron are kept, so that there may be any number of them. Each pass stops at the hook.
 *
 * @param texts Texts or token ids; an async iterable may read them from a file.
 * @throws {HookError} for a hook that the model does not have.
 * @throws {OptionError} for a neuron that the hook does not have, and other wrong options.
 */
export async function topActivations(
  model: Model,
  texts: Iterable<Prompt> | AsyncIterable<Prompt>,
  options: TopActivationsOptions,
): Promise<NeuronActivations[]> {
  checkOptions('topActivations', options, CHECKS);
  const { k = 10, context = 5, signal } = options;
  let found: { neuron: number; top: Place[] }[] | undefined;
  let index = 0;
  for await (const text of texts) {
    signal?.throwIfAborted();
    const tokens = model.tokensOf(text);
    const { values, width } = activationsOf(model, tokens, options);
    found ??= neuronsOf(options, width).map((neuron) => ({ neuron, top: [] }));
    for (const { neuron, top } of found) {
      for (let position = 0; position < tokens.length; position++) {
        const activation = values[position * width + neuron];
        const least = top.length < k ? -Infinity : top[k - 1].activation;
        if (!(activation > least)) continue; // NaN neither.
        const first = Math.max(position - context, 0);
        const at = top.findIndex((other) => other.activation < activation);
        top.splice(at < 0 ? top.length : at, 0, {
          activation,
          text: index,
          position,
          first,
          tokens: tokens.slice(first, position + context + 1),
        });
        top.splice(k);
      }
    }
    index++;
    await nextTurn();
  }
  const textOf = tokenTexts(model);
  return (found ?? []).map(({ neuron, top }) => ({ neuron, top: top.map((place) => spelled(place, textOf)) }));
}

/** A place where a neuron is active, with the tokens around it. */
interface Place extends Pick<TopActivation, 'activation' | 'text' | 'position'> {
  /** The position of the first of `tokens`. */
  readonly first: number;
  readonly tokens: readonly number[];
}

function spelled(
  { activation, text, position, first, tokens }: Place,
  textOf: (tokens: readonly number[]) => string,
): TopActivation {
  const at = position - first;
  return {
    activation,
    text,
    position,
    token: textOf([tokens[at]]),
    before: textOf(tokens.slice(0, at)),
    after: textOf(tokens.slice(at + 1)),
  };
}

/** The activations of one text `[T, width]`, row-major. */
function activationsOf(
  model: Model,
  tokens: readonly number[],
  { hook, of = (x) => x }: TopActivationsOptions,
): { values: Float32Array; width: number } {
  const { acts, dispose } = model.run(tokens, { capture: [hook], until: hook });
  try {
    const values = scope('', () => of(acts[hook]).data());
    if (values.length % tokens.length !== 0 || acts[hook].shape[0] !== tokens.length)
      throw new OptionError(
        `topActivations: expected a hook with a row for each of ${tokens.length} positions, got ${hook} [${acts[hook].shape.join(', ')}].`,
      );
    return { values, width: values.length / tokens.length };
  } finally {
    dispose();
  }
}

/** @throws {OptionError} for a neuron that is not among `width`. */
function neuronsOf({ hook, neurons }: TopActivationsOptions, width: number): number[] {
  const wrong = neurons?.find((neuron) => neuron >= width);
  if (wrong !== undefined)
    throw new OptionError(`topActivations: expected neurons from 0 to ${width - 1} of ${hook}, got ${wrong}.`);
  return [...(neurons ?? Array.from({ length: width }, (_, neuron) => neuron))];
}
