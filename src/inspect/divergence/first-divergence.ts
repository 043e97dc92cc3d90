import type { Prompt } from '../../engine/prompt.ts';
import { VitrineError } from '../../errors.ts';
import { ANYTHING, type Checks, checkOptions, OptionError } from '../../options.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { RecordedHook, Recording } from '../recording.ts';
import { type ComparedHook, compareHook } from './compare-hook.ts';
import { Rounding } from './rounding.ts';
import { comparedHooks, expectSubject, modelOf, type Side, sideOf, type Subject } from './subject.ts';
import { type Verdict, verdictOf } from './verdict.ts';
import type { Walk } from './walk.ts';

/** What two passes are compared by. */
export interface DivergenceOptions {
  /** What models run. Default: the tokens of the recording, where one of the two is one. */
  readonly prompt?: Prompt | undefined;
  /**
   * A third pass that is as exact as can be, such as the same model on the backend `reference-f64`: it tells which of the
   * two is wrong. Default: none.
   */
  readonly oracle?: Subject | undefined;
}

const CHECKS: Checks<DivergenceOptions> = { prompt: ANYTHING, oracle: ANYTHING };

/** Where two passes differ, hook by hook, and what that means. */
export interface Divergence extends Verdict {
  /** The token ids that both passes read. */
  readonly tokens: readonly number[];
  /** What was compared, in the order of the pass. */
  readonly hooks: readonly ComparedHook[];
  /** Hooks that only one of the two has. */
  readonly onlyIn: { readonly a: readonly string[]; readonly b: readonly string[] };
}

/**
 * Compares two passes over the same tokens hook by hook, in the order of the pass, and finds the first hook whose
 * difference is more than rounding explains.
 *
 * Two models may be of other backends, files, formats, weight dtypes; the same model may be given with an edit. All
 * activations of the passes are in memory meanwhile: see `model.captureCost`.
 *
 * ```ts
 * using a = await load(folder);
 * using b = await load(folder, { backend: 'reference' });
 * const { verdict, first } = firstDivergence(a, b, { prompt: 'The capital of France is' });
 * ```
 * @throws {OptionError} without a prompt where no recording has tokens.
 * @throws {VitrineError} where the two have no hook in common, or read other tokens.
 */
export function firstDivergence(a: Subject, b: Subject, options: DivergenceOptions = {}): Divergence {
  checkOptions('firstDivergence', options, CHECKS);
  const { oracle } = options;
  expectSubject('a', a);
  expectSubject('b', b);
  if (oracle !== undefined) expectSubject('the oracle', oracle);
  const subjects = [a, b, ...(oracle ? [oracle] : [])];
  const tokens = tokensOf(subjects, options.prompt);
  const [inA, inB, inOracle] = subjects.map(comparedHooks);
  const hooks = [...(modelOf(a) === undefined && modelOf(b) ? inB : inA)].filter(
    ([name]) => inA.has(name) && inB.has(name),
  );
  if (hooks.length === 0) throw new VitrineError('firstDivergence: the two passes have no hook in common.');
  const names = hooks.map(([name]) => name);
  const sides: Side[] = [];
  const run = (subject: Subject, captured: readonly string[]): Recording => {
    const side = sideOf(subject, tokens, captured);
    sides.push(side);
    return side.recording;
  };
  try {
    const [left, right] = [run(a, names), run(b, names)];
    const exact =
      oracle &&
      run(
        oracle,
        names.filter((name) => inOracle.has(name)),
      );
    const compared = walk(hooks, { a: left, b: right, oracle: exact, tokens });
    const missing = (one: Map<string, RecordedHook>, other: Map<string, RecordedHook>): string[] =>
      [...one.keys()].filter((name) => !other.has(name));
    return {
      ...verdictOf(compared, [left, right]),
      tokens,
      hooks: compared,
      onlyIn: { a: missing(inA, inB), b: missing(inB, inA) },
    };
  } finally {
    for (const { recording, isOwned } of sides) if (isOwned) recording.dispose();
  }
}

/** The tokens that all read. */
function tokensOf(subjects: readonly Subject[], prompt: Prompt | undefined): readonly number[] {
  const model = subjects.map(modelOf).find((one) => one !== undefined);
  const recorded = subjects.flatMap((subject) => (modelOf(subject) ? [] : [(subject as Recording).tokens]));
  const known = recorded.filter(({ length }) => length > 0);
  if (prompt === undefined && known.length === 0 && model)
    throw new OptionError('firstDivergence: expected a prompt, since no recording tells the tokens.');
  const tokens = (prompt === undefined ? undefined : model?.tokensOf(prompt)) ?? known.at(0) ?? [];
  const other = known.find((one) => !sameShape(one, tokens));
  if (other !== undefined)
    throw new VitrineError(
      `firstDivergence: expected passes over the same tokens, got [${tokens.join(' ')}] and [${other.join(' ')}]. Record the same prompt.`,
    );
  return tokens;
}

/** Compares hook by hook, up to one where the two passes chose other experts: what follows has no counterpart. */
function walk(
  hooks: readonly (readonly [string, RecordedHook])[],
  passes: Pick<Walk, 'a' | 'b' | 'oracle' | 'tokens'>,
): ComparedHook[] {
  const { a, b } = passes;
  const present = hooks.filter(([name]) => a.hooks.has(name) && b.hooks.has(name)); // Experts may have no rows.
  const widthOf = ([name, { axes }]: readonly [string, RecordedHook]): number =>
    axes.endsWith('V') ? 1 : (a.acts[name].shape.at(-1) ?? 1); // Logits are not summed.
  const width = Math.max(...present.map(widthOf));
  const state: Walk = {
    ...passes,
    between: new Rounding([a.precision, b.precision], width),
    ofA: new Rounding([a.precision], width),
    ofB: new Rounding([b.precision], width),
  };
  const compared: ComparedHook[] = [];
  for (const [name, { axes }] of present) {
    const found = compareHook(state, name, axes);
    compared.push(found);
    if (found.choice !== undefined) break;
  }
  return compared;
}
