import { expectWithinBudget } from '../../hooks/capture-cost.ts';
import { HookError } from '../../hooks/hook-error.ts';
import type { HookRegistry } from '../../hooks/hook-registry.ts';
import { InvariantWatch } from '../../hooks/invariant-watch.ts';
import { matchHooks } from '../../hooks/match.ts';
import { type Observers, observersFor } from '../../hooks/observers.ts';
import { SequenceObserver } from '../../hooks/sequence-observer.ts';
import type { KvCache } from '../../model/cache/kv-cache.ts';
import type { Rows } from '../../model/parts/decoder.ts';
import type { NewTokens } from '../../model/parts/step.ts';
import { checkArgument, instanceOf, OptionError, whole } from '../../options.ts';
import { keep, scope } from '../../tensor/scope.ts';
import { show } from '../../tensor/shape.ts';
import type { Observer } from '../../tensor/tap.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { CACHE } from '../generate/generate-options.ts';
import type { Pass } from '../passes.ts';
import { Run } from './run.ts';
import type { BatchOptions, RunOptions } from './run-options.ts';
import { runUntil, StopAt } from './stop-at.ts';

/** A sequence whose prompt is tokens, and the cache that it uses. */
export interface ReadySequence extends Pick<
  RunOptions,
  'capture' | 'edit' | 'statistics' | 'health' | 'from' | 'rows'
> {
  /** All tokens of the prompt. */
  readonly tokens: Int32Array;
  readonly cache: KvCache;
  /** Whether the cache is made for this pass, and not the caller's. */
  readonly isFresh: boolean;
}

/** The network, and what all sequences have in common. */
export interface RunSettings
  extends
    Pick<Pass, 'network' | 'backend' | 'compute'>,
    Pick<BatchOptions, 'until' | 'editBatch' | 'checkInvariants' | 'budget'> {
  /** The public call, for messages. */
  readonly call: string;
  readonly hooks: HookRegistry;
}

/** A sequence with its observers, and the part of it that the pass computes. */
interface Prepared extends Observers {
  readonly watch: InvariantWatch | undefined;
  readonly newTokens: NewTokens;
  /** Rows of logits, counted from the first that is computed. */
  readonly rows: readonly number[];
}

/**
 * Runs one pass over sequences, each with hooks of its own, and gives a run for each.
 *
 * @throws {HookError} for hooks that the model does not have, or that the pass does not reach.
 * @throws {OptionError} for a `from` or `rows` that does not fit.
 */
export function runSequences(sequences: readonly ReadySequence[], settings: RunSettings): Run<string>[] {
  const { network, backend, compute, until } = settings;
  for (const sequence of sequences) expectEntry(sequence, sequences[0], settings);
  const layerOf = (index: number): number => sequences[index].from?.layer ?? 0;
  const order = [...sequences.keys()].sort((a, b) => layerOf(a) - layerOf(b) || a - b);
  const prepared = order.map((index) => prepare(sequences[index], settings));
  expectFits(sequences[0].capture ?? [], prepared, settings);
  const runs = scope('', () => {
    try {
      const logits = runUntil({
        network,
        backend,
        compute,
        sequences: prepared.map(({ newTokens }) => newTokens),
        rows: commonRows(prepared),
        ...passObservers(prepared, settings),
      });
      return runsOf(prepared, logits, until);
    } finally {
      for (const { recorder, watch } of prepared) {
        recorder.discard();
        watch?.discard();
      }
    }
  });
  const inOrder = new Array<Run<string>>(runs.length);
  order.forEach((index, place) => (inOrder[index] = runs[place]));
  return inOrder;
}

/** @throws {OptionError} where `from` does not fit the model or the prompt, or only some sequences have it. */
function expectEntry(
  { from, tokens }: ReadySequence,
  first: ReadySequence,
  { call, network, backend }: RunSettings,
): void {
  if ((from === undefined) !== (first.from === undefined))
    throw new OptionError(`${call}: expected all sequences to start at a layer, or none.`);
  if (from === undefined) return;
  const { config } = network;
  const { layer, residual, cache } = from;
  checkArgument(call, 'from.layer', layer, whole(0, config.nLayers - 1));
  checkArgument(call, 'from.residual', residual, instanceOf(Tensor, 'a tensor'));
  if (cache !== undefined) checkArgument(call, 'from.cache', cache, CACHE);
  const { shape, dtype } = residual;
  const [rows, width] = shape;
  if (shape.length !== 2 || dtype !== 'f32' || width !== config.dim || rows < 1 || rows > tokens.length)
    throw new OptionError(
      `${call}: from.residual must be f32 [rows, ${config.dim}] with 1 to ${tokens.length} rows, those of the last tokens of ` +
        `the prompt, got ${dtype} ${show(shape)}.`,
    );
  if (residual.backend !== backend)
    throw new OptionError(`${call}: from.residual lies in another backend than the model. Make it with Tensor.from.`);
  const seen = tokens.length - rows;
  const held = cache?.tokens ?? [];
  if (held.length < seen || tokens.subarray(0, seen).some((token, i) => token !== held[i]))
    throw new OptionError(
      `${call}: from.residual has ${rows} of ${tokens.length} rows: expected a from.cache that holds the first ${seen} ` +
        'tokens of the prompt.',
    );
}

function prepare(sequence: ReadySequence, settings: RunSettings): Prepared {
  const { tokens, cache, isFresh, from } = sequence;
  const { call, hooks, until, network, checkInvariants } = settings;
  const computed = from?.residual.shape[0] ?? tokens.length;
  const seen = tokens.length - computed;
  const observers = observersFor(sequence, hooks);
  const watch = checkInvariants ? new InvariantWatch(network.invariants) : undefined;
  expectReached(sequence, settings);
  return {
    ...observers,
    all: watch ? [...observers.all, watch] : observers.all,
    watch,
    rows: chosenRows(call, sequence, seen),
    newTokens:
      from === undefined
        ? { tokens, cache, seen: until === undefined || isFresh ? undefined : cache.length }
        : { tokens: tokens.subarray(seen), cache: from.cache ?? cache, seen, textLength: tokens.length, from },
  };
}

/**
 * The rows that are asked for, counted from the first that is computed.
 *
 * @param seen Tokens of the prompt that are not computed.
 * @throws {OptionError} for a row that the pass does not compute.
 */
export function chosenRows(
  call: string,
  { rows = 'all', tokens }: Pick<ReadySequence, 'rows' | 'tokens'>,
  seen: number,
): number[] {
  const T = tokens.length;
  if (rows === 'last') return [T - 1 - seen];
  if (rows === 'all') return Array.from({ length: T - seen }, (_, row) => row);
  return rows.map((row) => {
    const at = (row < 0 ? row + T : row) - seen;
    if (at >= 0 && at < T - seen) return at;
    throw new OptionError(
      `${call}: row ${row} is not computed: expected one from ${seen} to ${T - 1}, or ${seen - T} to -1 from the end.`,
    );
  });
}

/** @throws {BudgetError} where the captures of all sequences together take more than the budget. */
function expectFits(
  capture: readonly string[],
  prepared: readonly Prepared[],
  { call, budget, hooks, network }: RunSettings,
): void {
  const passes = prepared.map(({ newTokens, rows }) => ({
    positions: newTokens.tokens.length,
    keys: (newTokens.seen ?? newTokens.cache.length) + newTokens.tokens.length,
    logitRows: rows.length,
  }));
  expectWithinBudget({ call, budget, capture, hooks, model: network.config }, passes);
}

/** The rows for the network: it gathers none where all are asked for. */
function commonRows(prepared: readonly Prepared[]): Rows {
  return prepared.every(
    ({ rows, newTokens }) => rows.length === newTokens.tokens.length && rows.every((row, i) => row === i),
  )
    ? 'all'
    : prepared.map(({ rows }) => rows);
}

/** Hooks that lie before the first layer, or behind the hook where the pass stops, would show and change nothing. */
function expectReached(
  { capture = [], edit = {}, statistics = [], health = [], from }: ReadySequence,
  { hooks, until, editBatch = {} }: RunSettings,
): void {
  const layer = from?.layer ?? 0;
  if (layer === 0 && until === undefined) return;
  const order = [...hooks.keys()];
  const places = new Map(order.map((name, place) => [name, place]));
  const end = until === undefined ? order.length : (places.get(until) ?? -1);
  if (end < 0) matchHooks(until!, order); // Says which are near.
  if (end < 0) throw new HookError(`until: expected the name of one hook, got "${until}".`);
  const begin = layer === 0 ? 0 : order.findIndex((name) => hooks.get(name)!.layer === layer);
  const asked = [
    ...capture,
    ...statistics,
    ...health,
    ...Object.keys(edit),
    ...Object.keys(editBatch),
    ...(until === undefined ? [] : [until]),
  ];
  for (const pattern of asked) {
    for (const name of matchHooks(pattern, order).flatMap(({ names }) => names)) {
      const at = places.get(name)!;
      const why = at < begin ? `starts at layer ${layer}` : at > end ? `stops at ${until}` : undefined;
      if (why !== undefined) throw new HookError(`"${pattern}": the pass ${why}, and does not reach ${name}.`);
    }
  }
}

function passObservers(
  prepared: readonly Prepared[],
  { hooks, until, editBatch }: RunSettings,
): Pick<Pass, 'observers' | 'recomputeObservers'> {
  const { editor: batchEditor } = observersFor({ edit: editBatch }, hooks);
  const before = batchEditor ? [batchEditor] : [];
  const perSequence = (observersOf: (one: Prepared) => readonly Observer[]): readonly Observer[] => {
    if (prepared.length === 1) return [...before, ...observersOf(prepared[0])];
    const parts = prepared.map((one) => ({
      tokens: one.newTokens.tokens.length,
      logitRows: one.rows.length,
      observers: observersOf(one),
    }));
    return [...before, new SequenceObserver(hooks, parts)];
  };
  const isEdited = batchEditor !== undefined || prepared.some(({ editor }) => editor);
  const stop = until === undefined ? [] : [new StopAt(until, prepared.length)];
  return {
    observers: [...perSequence(({ all }) => all), ...stop],
    recomputeObservers: isEdited ? perSequence(({ editor }) => (editor ? [editor] : [])) : undefined,
  };
}

/** A run for each sequence: its rows of the logits, and what its recorder has. */
function runsOf(prepared: readonly Prepared[], logits: Tensor | undefined, until: string | undefined): Run<string>[] {
  const parts = logits?.split(
    prepared.map(({ rows }) => rows.length),
    0,
  );
  const runs: Run<string>[] = [];
  try {
    for (const [i, { recorder, measurer }] of prepared.entries())
      runs.push(new Run(recorder.take(), measurer.take(), parts && keep(parts[i]), until));
    return runs;
  } catch (error) {
    for (const run of runs) run.dispose();
    throw error;
  }
}
