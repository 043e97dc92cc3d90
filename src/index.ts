// For `using`, in projects whose target does not have it yet.
/// <reference lib="esnext.disposable" preserve="true" />

export { load } from './engine/load/load.ts';
export { openModel, type OpenOptions } from './loader/open-model.ts';
export type { LoadOptions } from './engine/load/load-options.ts';
export { Model, type ForwardOptions, type Run, type Score } from './engine/model.ts';
export type { Prompt, TokenIds } from './engine/prompt.ts';
export { OptionError } from './options.ts';
export type { GeneratedToken } from './engine/generate/token-loop.ts';
export type { GenerateOptions } from './engine/generate/generate-options.ts';
export { KvCache } from './model/cache/kv-cache.ts';
export { probabilities } from './sampling/probabilities.ts';
export type { SamplingOptions } from './sampling/sampling-options.ts';
export { HookError } from './hooks/hook-error.ts';
export type { Hook, HookPoint, ReadOnly } from './tensor/hook-point.ts';
export type { Edit } from './hooks/editor.ts';
export type { Hooks } from './hooks/observers.ts';
export type { Activations } from './hooks/recorder.ts';
export { openSafetensors } from './loader/safetensors/open-safetensors.ts';
export { writeSafetensors } from './loader/safetensors/write-safetensors.ts';
export { convert, type ConvertOptions } from './loader/convert-model.ts';
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
export { loadTokenizer } from './loader/load-tokenizer.ts';
export { Tokenizer } from './tokenizer/tokenizer.ts';
export { renderTemplate, type ChatMessage, type TemplateVariables } from './tokenizer/chat-template.ts';
export { Tensor, concat, liveTensors } from './tensor/tensor.ts';
export { keep, scope } from './tensor/scope.ts';
export { tap } from './tensor/tap.ts';
export { BACKEND_NAMES, backendStatus, createBackend, type BackendName } from './tensor/backends.ts';
export type { Backend } from './tensor/backend.ts';
export type { DType } from './tensor/dtype.ts';
export { VitrineError } from './errors.ts';
