/**
 * The harness behind `vitrine bench`: kernels checked and timed, whole models timed, profiles, comparisons, reports.
 *
 * @module vitrine/bench
 */

export type { Draw } from './inputs/draw.ts';
export type { Overhead } from './timing/blocks.ts';
export type { Tier } from './timing/compiler-tier.ts';
export type { CheckResult } from './variants/result-check.ts';
export { DISTRIBUTIONS, type Distribution } from './inputs/distributions.ts';
export type { OperandSpec } from './inputs/operand-spec.ts';
export { fingerprint, unlike, type Fingerprint, type FingerprintSubject } from './machine/fingerprint.ts';
export { measureLimits, type Limits } from './machine/machine-limits.ts';
export {
  benchModel,
  type ModelBenchOptions,
  type ModelReport,
  type ModelRow,
  type ModelTest,
} from './model/model-bench.ts';
export { modelCsv, modelJson, modelMarkdown, modelTable } from './model/model-report.ts';
export type { LayerProfile, OpProfile, PassProfile } from './profile/pass-profile.ts';
export { profileModel, type Profile, type ProfileOptions } from './profile/profile-model.ts';
export { profileTable } from './profile/profile-table.ts';
export {
  compare,
  readReport,
  type CompareOptions,
  type Comparison,
  type RowComparison,
} from './run/compare-reports.ts';
export { EXIT, gate, type GateOptions } from './run/gate.ts';
export type { Prediction, Report, Row } from './run/report.ts';
export { run } from './run/run-bench.ts';
export type { RunOptions } from './run/run-options.ts';
export { modelHash } from './subject/model-hash.ts';
export { readShapes, type MatrixSite, type MixtureSite, type ModelShapes } from './subject/model-shapes.ts';
export { parsePhase, type Phase } from './subject/phase.ts';
export type { WeightFormat } from './subject/weight-format.ts';
export { SUITES } from './suites/all-suites.ts';
export type { Case, OpCall, Sizes, Suite, Tolerance } from './suites/suite.ts';
export type { Compiled } from './timing/blocks.ts';
export { estimate, estimateRatio, median, quantile, slope, type Estimate } from './timing/statistics.ts';
export { noiseFloor, verdictOf, type Verdict } from './timing/verdict.ts';
export { VARIANT_NAMES } from './variants/engine-variants.ts';
export type { KernelInputs, KernelModule } from './variants/kernel-file.ts';
export { comparisonTable } from './write/comparison-table.ts';
export { toCsv } from './write/csv.ts';
export { toMarkdown } from './write/markdown.ts';
export { toTable } from './write/report-table.ts';
export { toSvg } from './write/svg.ts';
export { toJson, writeReport, type ReportFiles } from './write/write-report.ts';
