import type { Random } from '../sampling/random.ts';
import { elements } from '../tensor/dtype.ts';
import { fromBf16, toBf16 } from '../tensor/formats/bf16.ts';
import { Parameter } from '../tensor/parameter.ts';
import { ReferenceBackend } from '../tensor/reference/reference-backend.ts';
import { scope } from '../tensor/scope.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Tolerance } from './suite.ts';
import { type Task, toleranceOf, type Variant } from './variant.ts';

/** Floating-point operations that the oracle may spend on rows of one check; the rows of small ops are all checked. */
const ORACLE_FLOPS = 3e8;

/** Rows of a result as they should be. */
export interface Expected {
  readonly rows: readonly number[];
  /** Of the rows, one after the other. */
  readonly values: Float32Array;
  readonly width: number;
  /** For a suite that can: of every row, the sum of its numbers with the given signs. */
  readonly sums: { readonly signs: Float64Array; readonly values: Float64Array } | undefined;
}

export interface CheckResult {
  readonly ok: boolean;
  /** What is wrong, in words; empty where nothing is. */
  readonly reason: string;
  /** The largest difference as a part of what is allowed, and of the root mean square of its row. */
  readonly worst: { readonly ofAllowed: number; readonly ofRow: number };
  /** Sum of squared differences over the sum of squares. */
  readonly nmse: number;
  readonly rowsChecked: number;
}

/**
 * What the op gives by the loops of `src/tensor/reference`, whose sums are in f64: for all rows, or for as many as the oracle
 * can do in a second, the first, the last and others at random. The sums of a suite's `signedSums` then cover each row.
 */
export function expectedOf(task: Task, { compute }: Pick<Variant, 'compute'>, random: Random): Expected {
  const { suite, sizes, operands, inputs } = task;
  const [total, ...rest] = suite.output(sizes);
  const rows = pickRows(total, Math.max(2, Math.floor(ORACLE_FLOPS / (suite.flops(sizes) / total))), random);
  const backend = new ReferenceBackend();
  const rounded = { ...inputs };
  if (compute === 'bf16')
    for (const [name, { kind }] of Object.entries(operands))
      if (kind === 'activation') rounded[name] = inputs[name].map((x) => fromBf16(toBf16(x)));
  let values: Float32Array = new Float32Array();
  scope('', () => {
    const tensors: Record<string, Tensor> = {};
    const matrices: Record<string, Parameter> = {};
    for (const [name, { kind, shape, rows: byRow }] of Object.entries(operands)) {
      const [count, ...inner] = shape;
      const width = elements(inner);
      const chosen = byRow && rows.length < count ? gatherRows(rounded[name], width, rows) : rounded[name];
      const numbers = kind === 'indices' ? Int32Array.from(chosen) : chosen;
      const tensor = Tensor.from(backend, numbers, byRow ? [rows.length, ...inner] : shape);
      if (kind === 'matrix') (matrices[name] = new Parameter(name, shape, 'f32')).fill(tensor);
      else tensors[name] = tensor;
    }
    values = suite.apply(tensors, { sizes: { ...sizes, T: rows.length }, matrices, compute: 'f32' }).data();
  });
  const width = elements(rest);
  let sums: Expected['sums'];
  if (rows.length < total && suite.signedSums !== undefined) {
    const signs = Float64Array.from({ length: width }, () => (random() < 0.5 ? -1 : 1));
    sums = { signs, values: suite.signedSums(rounded, sizes, signs) };
  }
  return { rows, values, width, sums };
}

/** Holds a whole result to what is expected of it. */
export function check(result: Float32Array, task: Task, variant: Variant, expected: Expected): CheckResult {
  const { suite, sizes } = task;
  const length = elements(suite.output(sizes));
  const failed = (reason: string): CheckResult => ({
    ok: false,
    reason,
    worst: { ofAllowed: Infinity, ofRow: Infinity },
    nmse: Infinity,
    rowsChecked: expected.rows.length,
  });
  // What a user's file gives may be anything.
  if (!((result as unknown) instanceof Float32Array)) return failed('expected a Float32Array as the result');
  if (result.length !== length) return failed(`expected ${length} numbers, got ${result.length}`);
  const bad = result.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) return failed(`element ${bad} is ${result[bad]}`);
  return { ...compare(result, toleranceOf(suite, variant), expected), rowsChecked: expected.rows.length };
}

function compare(
  result: Float32Array,
  { relative, ofRow, absolute }: Tolerance,
  { rows, values, width, sums }: Expected,
): Omit<CheckResult, 'rowsChecked'> {
  let reason = '';
  let [worstAllowed, worstRow, errors, squares] = [0, 0, 0, 0];
  rows.forEach((row, i) => {
    const expected = values.subarray(i * width, (i + 1) * width);
    const size = rootMeanSquare(expected);
    expected.forEach((value, column) => {
      const got = result[row * width + column];
      const difference = Math.abs(got - value);
      errors += difference ** 2;
      squares += value ** 2;
      worstRow = Math.max(worstRow, difference / (size + absolute));
      const ofAllowed = difference / (relative * Math.abs(value) + ofRow * size + absolute);
      if (ofAllowed > worstAllowed) {
        worstAllowed = ofAllowed;
        if (ofAllowed > 1) reason = `row ${row}, column ${column}: expected ${value}, got ${got}`;
      }
    });
  });
  // Errors of rounding are independent, so they add up like a random walk.
  sums?.values.forEach((value, row) => {
    const actual = result.subarray(row * width, (row + 1) * width);
    const got = actual.reduce((sum, x, column) => sum + sums.signs[column] * x, 0);
    const allowed = Math.sqrt(width) * ((relative + ofRow) * rootMeanSquare(actual) + absolute);
    const ofAllowed = Math.abs(got - value) / allowed;
    if (ofAllowed > worstAllowed) {
      worstAllowed = ofAllowed;
      if (ofAllowed > 1) reason = `row ${row}: its sum with random signs should be ${value}, and is ${got}`;
    }
  });
  const worst = { ofAllowed: worstAllowed, ofRow: worstRow };
  return { ok: worstAllowed <= 1, reason, worst, nmse: squares === 0 ? 0 : errors / squares };
}

const rootMeanSquare = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(1, values.length));

function pickRows(total: number, count: number, random: Random): number[] {
  if (count >= total) return Array.from({ length: total }, (_, row) => row);
  const chosen = new Set([0, total - 1]);
  while (chosen.size < count) chosen.add(Math.floor(random() * total));
  return [...chosen].sort((a, b) => a - b);
}

function gatherRows(values: Float32Array, width: number, rows: readonly number[]): Float32Array {
  const out = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    out.set(values.subarray(row * width, (row + 1) * width), i * width);
  });
  return out;
}
