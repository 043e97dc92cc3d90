import { NonFiniteFinder, type NonFinite } from '../hooks/non-finite-finder.ts';
import type { Editor } from '../hooks/editor.ts';
import { registryOf } from '../hooks/hook-registry.ts';
import type { Hook } from '../tensor/hook-point.ts';
import { KvCache } from '../model/cache/kv-cache.ts';
import type { Decoder } from '../model/parts/decoder.ts';
import { NonFiniteLogitsError } from '../sampling/logits.ts';
import type { WeightRequest } from '../model/weights/weight-request.ts';
import type { Backend } from '../tensor/backend.ts';
import type { Compute } from '../tensor/compute.ts';
import { PackedParameter } from '../tensor/packed-parameter.ts';
import { elements } from '../tensor/dtype.ts';
import { scope } from '../tensor/scope.ts';
import { layers, PREFILL_CHUNK } from './passes.ts';

/** A text whose logits are not finite, and the network that gave them. */
export interface BrokenText {
  readonly network: Decoder;
  readonly backend: Backend;
  /** The dtype of products. Default: the layers' own. */
  readonly compute?: Compute | undefined;
  /** The weights, and what they are called in the file. */
  readonly requests: readonly WeightRequest[];
  /** All that were computed with the broken logits, and before. */
  readonly tokens: readonly number[];
  /** Tokens after which they are. Default: all. */
  readonly after?: number | undefined;
  /** Edits that acted, and on which tokens: those of a prompt in one pass, the ones after it one by one. */
  readonly edits?: { readonly editor: Editor; readonly from: number; readonly promptEnd: number } | undefined;
}

/**
 * Runs a text once more to find the first activation that is not finite. It stops between layers; the caller drains it.
 *
 * @param what Says what was broken: `the logit of token 3 is NaN`.
 * @returns The error to be thrown.
 */
export function* explainNonFinite(
  operation: string,
  what: string,
  text: BrokenText,
): Generator<undefined, NonFiniteLogitsError, undefined> {
  const found = yield* firstNonFinite(text);
  const where =
    found === undefined
      ? 'Run once more, the text gave finite activations: do edits, or memory, change from run to run?'
      : `The first activation of the pass that is not finite is ${describe(found)}. ${advice(found, text)}`;
  return new NonFiniteLogitsError(`${operation}: after ${text.after ?? text.tokens.length} tokens ${what}. ${where}`);
}

interface Piece {
  readonly from: number;
  readonly to: number;
  readonly edited: boolean;
}

/** The passes to run once more. */
function piecesOf({ tokens, edits }: BrokenText): Piece[] {
  const { from: start, promptEnd } = edits ?? { from: tokens.length, promptEnd: tokens.length };
  const pieces: Piece[] = [];
  for (let from = 0; from < start; from += PREFILL_CHUNK)
    pieces.push({ from, to: Math.min(start, from + PREFILL_CHUNK), edited: false });
  if (promptEnd > start) pieces.push({ from: start, to: promptEnd, edited: true });
  for (let from = promptEnd; from < tokens.length; from++) pieces.push({ from, to: from + 1, edited: true });
  return pieces;
}

/** The pass over tokens `from` to `to` has it. */
type Found = NonFinite & Piece;

function* firstNonFinite(text: BrokenText): Generator<undefined, Found | undefined, undefined> {
  const { network, backend, tokens, edits, compute } = text;
  const { config } = network;
  const hooks = registryOf(network.hooks);
  const cache = new KvCache(backend, network.cacheLayout);
  const textLength = edits?.promptEnd ?? tokens.length;
  try {
    for (const { from, to, edited } of piecesOf(text)) {
      const finder = new NonFiniteFinder(hooks, config.windows, edited ? edits?.editor : undefined);
      const sequence = { tokens: Int32Array.from(tokens.slice(from, to)), cache, textLength };
      // Tokens that were chosen from finite logits, but for the last one, need no look.
      const isKnown = edits && from >= edits.promptEnd && to < tokens.length;
      const observers = isKnown ? [edits.editor] : finder.observers;
      const pass = layers({
        network,
        backend,
        sequences: [sequence],
        rows: 'last',
        index: edits && from >= edits.promptEnd ? from - edits.promptEnd + 1 : 0,
        observers,
        compute,
        recomputeObservers: observers,
      });
      try {
        for (;;) {
          const next = pass.next();
          if (finder.found !== undefined || next.done) {
            if (next.done) next.value.dispose();
            break;
          }
          yield;
        }
      } finally {
        pass.return(undefined as never);
      }
      if (finder.found !== undefined) return { ...finder.found, from, to, edited };
    }
    return undefined;
  } finally {
    cache.dispose();
  }
}

const describe = ({ hook, value, at, byEdit, from, to }: Found): string =>
  `${hook.name} (${value} at [${at.join(', ')}]` +
  `${from > 0 ? ` of the pass over tokens ${from} to ${to - 1}` : ''}${byEdit ? ', put there by its edit' : ''})`;

function advice({ hook, byEdit }: NonFinite, { requests }: BrokenText): string {
  if (byEdit) return 'Look at that edit.';
  const near = requests.filter(({ parameter }) => isNear(parameter.name, hook));
  const broken = [...new Set(near.flatMap(brokenPart))];
  if (broken.length > 0) return `Weights there that are not finite: ${broken.join(', ')}. Get the file anew.`;
  return (
    'The weights there are finite: what they compute is too large. The file is damaged, or was made for a wider ' +
    "dtype: try weights: 'f32', compute: 'f32'."
  );
}

/** Whether a weight is in the same block as a hook, or like it in none; in mixtures, in the same expert. */
function isNear(parameter: string, { name, layer }: Hook): boolean {
  const block = /(?:^|\.)(?:layers|h)\.(\d+)\./.exec(parameter)?.[1];
  if (block !== layer?.toString()) return false;
  const expert = /\bexperts\.(?:\w+\.)?(\d+)\./.exec(parameter)?.[1];
  return expert === undefined || expert === /\.experts\.(\d+)\./.exec(name)?.[1];
}

/** The first stored tensor of a parameter that holds NaN or Infinity. */
function brokenPart({ parameter, parts }: WeightRequest): string[] {
  const numbers = scope('', () => (parameter instanceof PackedParameter ? parameter.dense() : parameter.tensor).data());
  const bad = numbers.findIndex((x) => !Number.isFinite(x));
  if (bad < 0) return [];
  let end = 0;
  const part = parts.find(({ shape }) => (end += elements(shape)) > bad);
  return part ? [part.name + (part.stack ? ` (expert ${part.stack.index})` : '')] : [];
}
