import { enterStep } from './step-deadline.ts';
import { Fields, TokenizerError } from './json-fields.ts';
import { MAX_DEPTH, MAX_STEPS } from './size-limits.ts';

/** A pipeline of more steps than this runs under a deadline, even if each of them is linear. */
const FEW_STEPS = 32;

/** Builds the steps of tokenizer.json, counts them, and records whether they need a deadline. */
export class StepBuilder {
  /** Whether every step so far takes time linear in the text's length. If not, the pipeline runs under a deadline. */
  isLinear = true;
  #steps = 0;

  /**
   * Builds one step, or the steps of a `Sequence` in order.
   *
   * @param parts The field of a `Sequence` that lists its steps.
   * @param create Makes a step from its type and fields; undefined when the type is unknown.
   * @throws {TokenizerError} when a step is malformed, has an unknown type, or there are too many.
   */
  collectSteps<T>(
    value: unknown,
    path: string,
    parts: string,
    create: (type: string, fields: Fields) => T | undefined,
  ): Step<T>[] {
    return this.#collect(value, path, parts, create, 0);
  }

  #collect<T>(
    value: unknown,
    path: string,
    parts: string,
    create: (type: string, fields: Fields) => T | undefined,
    depth: number,
  ): Step<T>[] {
    const fields = new Fields(path, value);
    const type = fields.string('type');
    if (type === 'Sequence') {
      if (depth === MAX_DEPTH) throw new TokenizerError(`${path}: more than ${MAX_DEPTH} sequences within each other`);
      return fields
        .list(parts)
        .flatMap((part, i) => this.#collect(part, `${path}.${parts}[${i}]`, parts, create, depth + 1));
    }
    if (++this.#steps > MAX_STEPS) throw new TokenizerError(`${path}: more than ${MAX_STEPS} steps`);
    if (this.#steps > FEW_STEPS) this.isLinear = false;
    enterStep(path);
    const run = create(type, fields);
    return [{ path, run: run ?? fields.fail('type', `a known ${parts.replace(/s$/, '')}`) }];
  }
}

/** A step of the pipeline. */
export interface Step<T> {
  /** Where the file defines it, for messages: `tokenizer.json: normalizer.normalizers[1]`. */
  readonly path: string;
  readonly run: T;
}
