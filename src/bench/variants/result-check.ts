import type { Random } from '../../sampling/random.ts';
import { elements } from '../../tensor/dtype.ts';
import { fromBf16, toBf16 } from '../../tensor/formats/bf16.ts';
import { Parameter } from '../../tensor/parameter.ts';
import { ReferenceBackend } from '../../tensor/reference/reference-backend.ts';
import { scope } from '../../tensor/scope.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { Tolerance } from '../suites/suite.ts';
import { type Task, toleranceOf, type Variant } from './variant.ts';

/** Floating-point operations that the oracle spends on one check: about a second. For most ops this covers all rows. */
const ORACLE_FLOPS = 3e8;

/** Rows of a result by the oracle. */
export interface Expected {
  /** The numbers of the rows, ascending. */
  readonly rows: readonly number[];
  /** `[rows, width]` */
  readonly values: Float32Array;
  readonly width: number;
  /** For suites with `signedSums`: the sum of every row's numbers, each times its column's sign. */
  readonly sums: { readonly signs: Float64Array; readonly values: Float64Array } | undefined;
}

/** The outcome of a check. */
export interface CheckResult {
  readonly ok: boolean;
  /** The largest error in words; empty for a right result. */
  readonly reason: string;
  /** The largest difference, as a part of the tolerance and of the root mean square of its row. */
  readonly worst: { readonly ofAllowed: number; readonly ofRow: number };
  /** Normalised mean squared error: the sum of squared differences over the sum of squares. */
  readonly nmse: number;
  readonly rowsChecked: number;
}

/**
 * Computes an op by the loops of `src/tensor/reference`, whose sums are in f64: all rows, or as many as the oracle can compute in
 * a second (the first, the last, and others at random). In the second case a suite's `signedSums` cover every row.
 *
 * @param most The floating-point operations to spend
 */
export function expectedOf(
  task: Task,
  { compute }: Pick<Variant, 'compute'>,
  random: Random,
  most = ORACLE_FLOPS,
): Expected {
  const { suite, sizes, operands, inputs } = task;
  const [total, ...rest] = suite.output(sizes);
  const rows = pickRows(total, Math.max(2, Math.floor(most / (suite.flops(sizes) / total))), random);
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

/** Compares a variant's whole result with the oracle's rows. */
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
  // A user's file may return anything.
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
  // Rounding errors are independent, so that they add up as a random walk does.
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
