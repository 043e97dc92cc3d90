import { enterStep } from './step-deadline.ts';
import { Fields, TokenizerError } from './json-fields.ts';
import { MAX_DEPTH, MAX_STEPS } from './size-limits.ts';

/** Steps up to which a pipeline of known patterns needs no deadline. */
const FEW_STEPS = 32;

/** What is noted while the steps of tokenizer.json are built. */
export class StepBuilder {
  /** Whether the time of every step is known to grow with the text's length only. */
  isLinear = true;
  #steps = 0;

  /**
   * Builds one step, or those of a sequence in order.
   * @param parts - The field of a Sequence that holds its steps.
   * @param create - Makes a step of its type and fields; undefined where the type is unknown.
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

/** A step of the pipeline, and where it stands in the file. */
export interface Step<T> {
  readonly path: string;
  readonly run: T;
}
