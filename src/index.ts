/**
 * The library: load a model, run it, look inside, generate; and its parts that stand alone (tokenizers, chat templates, channels,
 * safetensors, tensors).
 *
 * @module vitrine
 */

// For `using`, in projects whose target does not have it yet.
/// <reference lib="esnext.disposable" preserve="true" />

export { load } from './engine/load/load.ts';
export { openModel, type OpenOptions } from './loader/open/open-model.ts';
export type { LoadOptions } from './engine/load/load-options.ts';
export { Model, type CostOptions, type ForwardOptions, type Score } from './engine/model.ts';
export type { Run } from './engine/run/run.ts';
export type { BatchOptions, BatchSequence, From, PassOptions, RunOptions } from './engine/run/run-options.ts';
export type { ModelWeights, WeightInfo } from './engine/model-weights.ts';
export type { WeightEdit, WeightEdits, WeightValue } from './engine/weight-scopes.ts';
export { WeightError } from './model/weights/weight-error.ts';
export type {
  BlockWeight,
  CheckedWeight,
  GlobalWeight,
  NoSuchWeight,
  WeightName,
} from './model/weights/weight-types.ts';
export type { Prompt, TokenIds } from './engine/prompt.ts';
export { OptionError } from './options.ts';
export type { SequenceToken } from './engine/generate/sequence.ts';
export type { GeneratedToken } from './engine/generate/token-loop.ts';
export type { GenerateOptions } from './engine/generate/generate-options.ts';
export { KvCache, type LayerLayout } from './model/cache/kv-cache.ts';
export type { DecoderConfig, ExpertsConfig, LatentConfig } from './model/config/decoder-config.ts';
export type {
  Llama3Scaling,
  LongRopeScaling,
  RopeConfig,
  RopeScaling,
  YarnScaling,
} from './model/config/rope-config.ts';
export type { GradientOptions } from './engine/gradients/gradient-options.ts';
export { Gradients } from './engine/gradients/gradients.ts';
export {
  attributionPatching,
  type Attribution,
  type AttributionGrid,
  type AttributionOptions,
} from './inspect/attribution-patching.ts';
export {
  integratedGradients,
  type IntegratedGradients,
  type IntegratedOptions,
} from './inspect/integrated-gradients.ts';
export { probabilities } from './sampling/probabilities.ts';
export type { Random } from './sampling/random.ts';
export type { AdjustmentStage } from './sampling/adjust.ts';
export type { TruncationStage } from './sampling/truncate.ts';
export {
  traceSampling,
  type SamplerStage,
  type SamplingTrace,
  type StageResult,
  type TracedToken,
  type TraceOptions,
} from './sampling/trace-sampling.ts';
export type { SamplingOptions } from './sampling/sampling-options.ts';
export { HookError } from './hooks/hook-error.ts';
export type { Hook, HookPoint, ReadOnly } from './tensor/hook-point.ts';
export type { Edit, EditContext } from './hooks/editor.ts';
export { InvariantError } from './hooks/invariant-watch.ts';
export type { Invariant, ModelInvariant } from './tensor/invariant.ts';
export type { RowPositions } from './tensor/tap.ts';
export type { HookRegistry } from './hooks/hook-registry.ts';
export type { Hooks } from './hooks/observers.ts';
export { BudgetError, type CaptureCost } from './hooks/capture-cost.ts';
export type { Health, Measures, Statistics } from './hooks/measurer.ts';
export { Captured, type Activations, type Layers } from './hooks/activations.ts';
export type {
  AxesOf,
  BlockHook,
  Checked,
  GlobalHook,
  HookName,
  KeyOf,
  LayerGlob,
  NoSuchHook,
} from './hooks/hook-types.ts';
export {
  activationStatistics,
  type ActivationStatistics,
  type Outlier,
  type StatisticsOptions,
} from './inspect/activation-statistics.ts';
export {
  routerStatistics,
  type MarginStatistics,
  type RoutedToken,
  type RouterStatistics,
} from './inspect/router-statistics.ts';
export {
  topActivations,
  type NeuronActivations,
  type TopActivation,
  type TopActivationsOptions,
} from './inspect/top-activations.ts';
export { loadSae, type SaeOptions } from './inspect/sae/load-sae.ts';
export type { Sae, SaeEdits, SaeWeights } from './inspect/sae/sae.ts';
export type { SaeArchitecture, SaeConfig } from './inspect/sae/sae-config.ts';
export { saeFeatures } from './inspect/sae/sae-features.ts';
export {
  samplerTrace,
  type SamplerTraceOptions,
  type TokenTrace,
  type TracedAlternative,
} from './inspect/sampler-trace.ts';
export { steering, steeringVector, type SteeringOptions } from './inspect/steering.ts';
export {
  record,
  type Precision,
  type RecordedHook,
  type RecordedPass,
  Recording,
  type RecordOptions,
} from './inspect/recording.ts';
export { loadRecording, type LoadRecordingOptions, saveRecording, type SaveOptions } from './inspect/recording-file.ts';
export { firstDivergence, type Divergence, type DivergenceOptions } from './inspect/divergence/first-divergence.ts';
export type { ComparedHook } from './inspect/divergence/compare-hook.ts';
export type { Choice } from './inspect/divergence/expert-choice.ts';
export type { ModelPass, Subject } from './inspect/divergence/subject.ts';
export type { Verdict } from './inspect/divergence/verdict.ts';
export {
  openSafetensors,
  type SafetensorsData,
  type SafetensorsFile,
  type SafetensorsTensor,
} from './loader/safetensors/open-safetensors.ts';
export type { SafetensorsEntry } from './loader/safetensors/safetensors-header.ts';
export { writeSafetensors, type TensorBytes, type TensorToWrite } from './loader/safetensors/write-safetensors.ts';
export { convert, type ConvertOptions } from './loader/convert/convert-model.ts';
export type { StoredBytes } from './loader/files/decode-blocks.ts';
export type { Checkpoint, ModelFiles, StoredTensor } from './loader/model-files.ts';
export type { OnProgress, Progress } from './loader/progress.ts';
export {
  channelParser,
  parseChannels,
  type ChannelFormat,
  type ChannelOptions,
  type ChannelParser,
} from './tokenizer/channels/channel-parser.ts';
export { joinSpans, type ChannelSpan } from './tokenizer/channels/spans.ts';
export { parseToolCalls, type ToolCall } from './tokenizer/tool-calls.ts';
export { loadTokenizer } from './loader/folder/load-tokenizer.ts';
export { Tokenizer, type DecodeOptions, type StreamOptions } from './tokenizer/tokenizer.ts';
export type { EncodeOptions } from './tokenizer/encoder.ts';
export type { TokenStream } from './tokenizer/token-stream.ts';
export type { TokenizerFiles } from './tokenizer/tokenizer-files.ts';
export { renderTemplate, type ChatMessage, type TemplateVariables } from './tokenizer/chat-template.ts';
export { Tensor, concat, liveTensors, type MatmulOptions, type TensorLike } from './tensor/tensor.ts';
export {
  type ArrayMethods,
  type NormOptions,
  type SortOptions,
  type VarianceOptions,
} from './tensor/array/array-methods.ts';
export type { ArrayPrimitives, Axes, KeepDim } from './tensor/array/array-primitives.ts';
export { traceTensors, tracedTensors, type TracedTensor } from './tensor/traced-tensors.ts';
export { einsum } from './tensor/array/einsum.ts';
export type { Index, Slice } from './tensor/array/indexing.ts';
export type { NestedArray, NestedNumbers } from './tensor/array/nested-numbers.ts';
export type { TopK } from './tensor/array/order.ts';
export { stack } from './tensor/array/stack.ts';
export { where } from './tensor/array/where.ts';
export { keep, scope, type ScopedTensor } from './tensor/scope.ts';
export { tap } from './tensor/tap.ts';
export {
  BACKEND_NAMES,
  backendStatus,
  createBackend,
  type BackendName,
  type BackendStatus,
} from './tensor/backends.ts';
export type {
  Backend,
  BinaryOp,
  Floats,
  FusedKernels,
  HostArray,
  Operand,
  ReduceOp,
  UnaryOp,
} from './tensor/backend.ts';
export type { Compute } from './tensor/compute.ts';
export type { Shape } from './tensor/shape.ts';
export type { Activation } from './tensor/ops/activation.ts';
export type { ClampedSwigluOptions } from './tensor/ops/clamped-swiglu.ts';
export type { PackedFormat, PackedLayout, PackedMatrix } from './tensor/formats/packed-format.ts';
export type { PackedParameter } from './tensor/packed-parameter.ts';
export type { Parameter } from './tensor/parameter.ts';
export type { TensorflowOptions } from './tensor/tensorflow/tensorflow-backend.ts';
export type { DType } from './tensor/dtype.ts';
export { headScores, inductionScores, type HeadScores } from './inspect/head-scores.ts';
export { logitAttribution, type LogitAttributionOptions, type LogitAttribution } from './inspect/logit-attribution.ts';
export { logitLens, type Lens, type LensOptions, type LensPlace, type LensToken } from './inspect/logit-lens.ts';
export { logitDifference, type Metric, type OneToken } from './inspect/metric.ts';
export { patchingSweep, type PatchedHook, type PatchingGrid, type PatchingOptions } from './inspect/patching.ts';
export { pathPatching, type HeadPlace, type PathPatchingOptions } from './inspect/path-patching.ts';
export { VitrineError } from './errors.ts';
