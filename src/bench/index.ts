// What `vitrine/bench` exports: the harness that `vitrine bench` is a command line of.
export type { Compiled } from './blocks.ts';
export { compare, readReport, UnlikeMachinesError } from './compare.ts';
export type { CompareOptions, Comparison, RowComparison } from './compare.ts';
export type { KernelInputs, KernelModule } from './file-variant.ts';
export { fingerprint, unlike, type Fingerprint, type FingerprintSubject } from './fingerprint.ts';
export { EXIT, gate, type GateOptions } from './gate.ts';
export { DISTRIBUTIONS, type Distribution } from './distributions.ts';
export { measureLimits, type Limits } from './limits.ts';
export {
  benchModel,
  type ModelBenchOptions,
  type ModelReport,
  type ModelRow,
  type ModelTest,
} from './model/measure.ts';
export { modelCsv, modelJson, modelMarkdown, modelTable } from './model/write.ts';
export { modelHash } from './model-hash.ts';
export { parsePhase, readShapes, type MatrixSite, type MixtureSite, type ModelShapes } from './model-shapes.ts';
export {
  profileModel,
  type LayerProfile,
  type OpProfile,
  type PassProfile,
  type Profile,
  type ProfileOptions,
} from './profile/profile.ts';
export { profileTable } from './profile/write.ts';
export type { Prediction, Report, Row } from './report.ts';
export { run, type RunOptions } from './run.ts';
export { estimate, estimateRatio, median, quantile, slope, type Estimate } from './statistics.ts';
export type { Call, Case, OperandSpec, Phase, Sizes, Suite, Tolerance } from './suite.ts';
export { SUITES } from './suites/index.ts';
export { noiseFloor, verdictOf, type Verdict } from './verdict.ts';
export { comparisonTable } from './write/comparison.ts';
export { toCsv } from './write/csv.ts';
export { toJson, writeReport, type ReportFiles } from './write/index.ts';
export { toMarkdown } from './write/markdown.ts';
export { toSvg } from './write/svg.ts';
export { toTable } from './write/table.ts';
export type { WeightFormat } from './weight-format.ts';
