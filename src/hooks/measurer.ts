import type { HostArray } from '../tensor/backend.ts';
import type { Hook } from '../tensor/hook-point.ts';
import type { Observer } from '../tensor/tap.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { HookRegistry } from './hook-registry.ts';
import { jointOf } from './join.ts';
import { matchHooks } from './match.ts';

/** Whether an activation is well: the least that can be asked of it. */
export interface Health {
  /** Whether all of its numbers are finite; -Infinity of what is hidden does not count. */
  readonly isFinite: boolean;
  /** The largest magnitude among the finite numbers. */
  readonly largest: number;
}

/** An activation in a few numbers, of its finite ones; what is hidden (masked scores) does not count at all. */
export interface Statistics extends Health {
  /** How many numbers there are. */
  readonly count: number;
  readonly nan: number;
  readonly infinite: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Standard deviation, of the population. */
  readonly std: number;
  /** Euclidean norm. */
  readonly norm: number;
}

/** What was measured, by the full names of hooks. */
export interface Measures {
  readonly statistics: Readonly<Record<string, Statistics>>;
  readonly health: Readonly<Record<string, Health>>;
}

/** Measures activations while passes run, and keeps none. The chunks of a prompt are measured as one. */
export class Measurer implements Observer {
  readonly #hooks: HookRegistry;
  readonly #statistics: ReadonlySet<string>;
  readonly #health: ReadonlySet<string>;
  readonly #tallies = new Map<string, Tally>();

  /**
   * @param asked Names or globs.
   * @param hooks Those of the model.
   * @throws {HookError} for a name that is not among them.
   */
  constructor(
    { statistics, health }: { readonly statistics: readonly string[]; readonly health: readonly string[] },
    hooks: HookRegistry,
  ) {
    const namesOf = (asked: readonly string[]): Set<string> =>
      new Set(asked.flatMap((one) => matchHooks(one, [...hooks.keys()])).flatMap(({ names }) => names));
    this.#hooks = hooks;
    this.#statistics = namesOf(statistics);
    this.#health = namesOf(health);
  }

  wants(name: string): boolean {
    return this.#statistics.has(name) || this.#health.has(name);
  }

  visit(name: string, value: Tensor): undefined {
    const hook = this.#hooks.get(name)!;
    const known = this.#tallies.get(name);
    const joint = jointOf(hook);
    const tally = known === undefined || joint === 'last' ? new Tally() : known;
    const numbers = value.integers();
    // Each chunk shows the keys of those before it again.
    const seen = joint === 'keys' ? tally.numbers : 0;
    const added = numbers.subarray(seen);
    if (this.#statistics.has(name)) tally.add(added, hook);
    else tally.addHealth(added, hook);
    this.#tallies.set(name, tally);
  }

  /** Hands over what was measured since the last call. */
  take(): Measures {
    const entries = [...this.#tallies];
    this.#tallies.clear();
    const of = <T>(names: ReadonlySet<string>, result: (tally: Tally) => T): Record<string, T> =>
      Object.fromEntries(entries.flatMap(([name, tally]) => (names.has(name) ? [[name, result(tally)]] : [])));
    return {
      statistics: of(this.#statistics, (tally) => tally.statistics()),
      health: of(this.#health, (tally) => tally.health()),
    };
  }
}

/** Sums over numbers. */
class Tally {
  /** Numbers seen, those that are hidden included. */
  numbers = 0;
  #hidden = 0;
  #nan = 0;
  #infinite = 0;
  #min = Infinity;
  #max = -Infinity;
  #largest = 0;
  #isFinite = true;
  #sum = 0;
  #squares = 0;

  add(values: HostArray, { hidden }: Hook): void {
    this.numbers += values.length;
    for (const value of values) {
      if (!Number.isFinite(value)) {
        if (value === hidden) this.#hidden++;
        else if (Number.isNaN(value)) this.#nan++;
        else this.#infinite++;
        continue;
      }
      if (value < this.#min) this.#min = value;
      if (value > this.#max) this.#max = value;
      this.#sum += value;
      this.#squares += value * value;
    }
    this.#isFinite = this.#nan + this.#infinite === 0;
    this.#largest = Math.max(0, -this.#min, this.#max);
  }

  addHealth(values: HostArray, { hidden }: Hook): void {
    this.numbers += values.length;
    for (const value of values) {
      const magnitude = Math.abs(value);
      if (magnitude < Infinity) {
        if (magnitude > this.#largest) this.#largest = magnitude;
      } else if (value !== hidden) this.#isFinite = false;
    }
  }

  health(): Health {
    return { isFinite: this.#isFinite, largest: this.#largest };
  }

  statistics(): Statistics {
    const count = this.numbers - this.#hidden;
    const finite = count - this.#nan - this.#infinite;
    const mean = this.#sum / finite;
    return {
      ...this.health(),
      count,
      nan: this.#nan,
      infinite: this.#infinite,
      min: this.#min,
      max: this.#max,
      mean,
      std: Math.sqrt(Math.max(0, this.#squares / finite - mean ** 2)),
      norm: Math.sqrt(this.#squares),
    };
  }
}
