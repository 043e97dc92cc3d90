import type { ModelFiles } from '../loader/model-files.ts';
import { type CaptureCost, captureCost } from '../hooks/capture-cost.ts';
import { observersFor } from '../hooks/observers.ts';
import { type HookRegistry, registryOf } from '../hooks/hook-registry.ts';
import { KvCache } from '../model/cache/kv-cache.ts';
import type { DecoderConfig } from '../model/config/decoder-config.ts';
import { describeConfig } from '../model/config/describe-config.ts';
import { formatBytes } from '../format-bytes.ts';
import { describeBroken, logprobOf } from '../sampling/logits.ts';
import { type NewTokens, Step } from '../model/parts/step.ts';
import { WeightTable } from '../model/weights/weight-table.ts';
import { checkArgument, type Checks, checkOptions, oneOf, OptionError, TEXTS, whole } from '../options.ts';
import type { Backend } from '../tensor/backend.ts';
import type { Compute } from '../tensor/compute.ts';
import { DisposedError, VitrineError } from '../errors.ts';
import type { ModelInvariant } from '../tensor/invariant.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ChatMessage, TemplateVariables } from '../tokenizer/chat-template.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { drain, type Pass, runPass } from './passes.ts';
import { checkGradientOptions, type GradientOptions } from './gradients/gradient-options.ts';
import type { Gradients } from './gradients/gradients.ts';
import { takeGradients } from './gradients/take-gradients.ts';
import { endIds } from './generate/end-of-text.ts';
import { samplerHooks } from './generate/choose-token.ts';
import { Sequence } from './generate/sequence.ts';
import { type GeneratedToken, generateTokens } from './generate/token-loop.ts';
import { CACHE, COMPUTE, type GenerateOptions, resolveOptions } from './generate/generate-options.ts';
import type { LoadedNetwork } from './load/load-network.ts';
import type { Run } from './run/run.ts';
import {
  BATCH_CHECKS,
  type BatchOptions,
  type BatchSequence,
  batchSequences,
  RUN_CHECKS,
  type RunOptions,
} from './run/run-options.ts';
import { runSequences } from './run/run-sequences.ts';
import { unembed } from './unembed.ts';
import { explainNonFinite } from './explain-non-finite.ts';
import { ModelWeights } from './model-weights.ts';
import {
  checkPrompt,
  checkSequences,
  checkTokens,
  expectOwnCaches,
  isMessages,
  type Prompt,
  type TokenIds,
} from './prompt.ts';
import { type WeightEdits, WeightScopes } from './weight-scopes.ts';

/** How to run a forward pass. */
export interface ForwardOptions {
  /** The tokens before; it then holds the new ones too. Default: none, and nothing is kept. */
  readonly cache?: KvCache | undefined;
  /** Rows of the result. Default `last`. */
  readonly logits?: 'last' | 'all' | undefined;
  /** The dtype to which operands of matrix products are rounded. Default: the fastest, see `LoadOptions.compute`. */
  readonly compute?: Compute | undefined;
}

const FORWARD_CHECKS: Checks<ForwardOptions> = { cache: CACHE, logits: oneOf('last', 'all'), compute: COMPUTE };

/** The pass whose captures are counted. */
export interface CostOptions {
  /** New tokens. */
  readonly tokens: number;
  /** Tokens in the cache. Default 0. */
  readonly cached?: number | undefined;
  /** Rows of logits. Default: one for each new token. */
  readonly logitRows?: number | undefined;
}

const COST_CHECKS: Checks<CostOptions> = { tokens: whole(1), cached: whole(0), logitRows: whole(0) };

/** How well a model expects a text; in nats. */
export interface Score {
  /** `-sum log p(token | tokens before)` over all tokens but the first. */
  readonly nll: number;
  /** `exp(nll / tokens scored)` */
  readonly perplexity: number;
  /** `[T - 1]`: of each token but the first, nats. */
  readonly logprobs: Float32Array;
}

/** Rows of logits in memory at a time while scoring: with 128 it takes 10 % longer, 512 rows of 262,144 logits are 0.5 GB, twice. */
const SCORE_CHUNK = 256;

/** Frees the weights of models that nobody disposed of. */
const forgotten = new FinalizationRegistry<LoadedNetwork>((loaded) => {
  loaded.dispose();
});

/** A loaded model. Its owner disposes of it. */
export class Model {
  readonly config: DecoderConfig;
  readonly backend: Backend;
  /** The model's config.json and generation_config.json, as they are, and what there is to know of its files. */
  readonly files: Pick<ModelFiles, 'source' | 'config' | 'generationConfig' | 'notes'>;
  readonly weightBytes: number;
  readonly #loaded: LoadedNetwork;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #weights: ModelWeights;
  readonly #weightScopes: WeightScopes;
  #weightTable: WeightTable | undefined;
  #disposed = false;

  constructor(files: ModelFiles, backend: Backend, loaded: LoadedNetwork, tokenizer: Tokenizer | undefined) {
    this.files = files;
    this.backend = backend;
    this.config = loaded.network.config;
    this.weightBytes = loaded.weightBytes;
    this.#loaded = loaded;
    this.#tokenizer = tokenizer;
    const table = (): WeightTable => {
      const network = this.#network();
      return (this.#weightTable ??= new WeightTable(network.weightPoints));
    };
    this.#weights = new ModelWeights(table);
    this.#weightScopes = new WeightScopes(table, backend);
    forgotten.register(this, loaded, this);
  }

  /**
   * Tokens that a text can have: as many as the model was made for or, where fewer fit, as fit into memory; more only where
   * `load` was asked for a longer `context`. Memory is counted for one text at a time.
   */
  get maxLength(): number {
    return this.#loaded.maxLength;
  }

  /** The dtype of operands in products that `load` was asked for; undefined where each call chooses. */
  get compute(): Compute | undefined {
    return this.#loaded.compute;
  }

  /** @throws {VitrineError} where the model came without a tokenizer. */
  get tokenizer(): Tokenizer {
    if (this.#tokenizer === undefined)
      throw new VitrineError(`${this.files.source} has no tokenizer.json: give token ids instead of text.`);
    return this.#tokenizer;
  }

  /** The names of all hook points that `run` can capture and edit, in the order of the pass. */
  get hooks(): string[] {
    return [...this.hookPoints.keys()];
  }

  /** The hook points by name, in the order of the pass: axes, meaning, and how an edit acts. */
  get hookPoints(): HookRegistry {
    return registryOf(this.#network().hooks);
  }

  /** The weights by name: `model.weights.get('blocks.3.attn.W_Q')` is `[H, D, d]` f32. */
  get weights(): ModelWeights {
    return this.#weights;
  }

  /**
   * Runs a body with edited weights, and restores them when it ends or, where it is async, when its promise settles; on
   * errors too. Edits are computed in f32, and only what is named changes: of joined matrices the part, of a tied embedding
   * and head the one. Scopes nest. Whatever else runs on the model meanwhile has the edited weights too, and a `generate`
   * whose weights change on the way ends with an error; a cache keeps what other weights have made.
   *
   * @param edits By the name of a weight: its numbers in f32, or a function that makes them of the weight as it is.
   * @throws {WeightError} for a name that the model does not have, numbers that do not fit, and scopes that overlap.
   * @throws {OptionError} for a body that is no function, or that gives an iterator.
   */
  withWeights<R, Name extends string = string>(edits: WeightEdits<Name>, body: () => R): R {
    return this.#weightScopes.run(edits, body);
  }

  /** The identities that hold between activations, in the order of the pass: `run` checks them with `checkInvariants`. */
  get invariants(): readonly ModelInvariant[] {
    return this.#network().invariants;
  }

  /**
   * The bytes that captures take, before a pass is run.
   *
   * @param names Names or globs of hooks, as in `capture`.
   * @param options `tokens`: how many are new; `cached`: how many the cache has (default 0); `logitRows` (default: one a token).
   * @throws {HookError} for a name that the model does not have.
   */
  captureCost(names: readonly string[], options: CostOptions): CaptureCost {
    checkArgument('captureCost', 'the names', names, TEXTS);
    checkOptions('captureCost', options, COST_CHECKS);
    const { tokens, cached = 0, logitRows } = options;
    checkArgument('captureCost', 'tokens', tokens, COST_CHECKS.tokens);
    const pass = { positions: tokens, keys: cached + tokens, logitRows };
    return captureCost(names, { hooks: this.hookPoints, model: this.config }, pass);
  }

  /** The text and tokens of a conversation by the model's chat template; `addGenerationPrompt` begins an answer. */
  renderChat(messages: readonly ChatMessage[], variables: TemplateVariables = {}): { text: string; tokens: number[] } {
    return this.tokenizer.renderChat(messages, variables);
  }

  /** An empty cache for one text, whose owner disposes of it. */
  newCache(): KvCache {
    return new KvCache(this.backend, this.#network().cacheLayout, this.maxLength);
  }

  /**
   * The logits after `tokens`: `[1, V]`, or `[T, V]` for `logits: 'all'`; f32. Synchronous.
   *
   * @throws {OptionError} for no tokens, ids outside of the vocabulary, or a wrong option.
   * @throws {VitrineError} for a cache in use.
   */
  forward(tokens: ArrayLike<number>, options: ForwardOptions = {}): Tensor {
    checkOptions('forward', options, FORWARD_CHECKS);
    const { cache, logits = 'last', compute } = options;
    const checked = this.#checked('forward', tokens);
    return this.#withCaches('forward', [cache], ([used]) =>
      runPass({ ...this.#pass('forward', [{ tokens: checked, cache: used }], logits), compute }),
    );
  }

  /** The last row of logits of several sequences, of any lengths, in one pass: `[sequences, V]`. */
  forwardBatch(sequences: readonly { tokens: ArrayLike<number>; cache?: KvCache }[]): Tensor {
    checkSequences(sequences);
    const checked = sequences.map(({ tokens }) => this.#checked('forwardBatch', tokens));
    const caches = sequences.map(({ cache }) => cache);
    return this.#withCaches('forwardBatch', caches, (used) => {
      const ready = checked.map((tokens, i) => ({ tokens, cache: used[i] }));
      return runPass(this.#pass('forwardBatch', ready, 'last'));
    });
  }

  /**
   * One forward pass that captures and edits activations by hook name or glob, or a part of one: `from` a layer, `until` a
   * hook, some `rows` of logits. Captures are keyed by the names asked for; a glob over layers gives one tensor with a leading
   * layer axis (`acts.layers` says which layers), any other glob each hook by its name. Logits are given finite or not. Products are in f32 unless told: see `compute`.
   *
   * @throws {HookError} for a name that the model does not have, with the nearest ones; for an edit that could change
   *   nothing, with the hook to edit instead; for the result of an edit, if it does not fit; and for a hook that a
   *   partial pass does not reach.
   * @throws {InvariantError} with `checkInvariants`, for the first identity that does not hold.
   * @throws {OptionError} and {VitrineError} as `forward` does.
   */
  run<const Captured extends string = never, Edited extends string = never, const Until extends string = never>(
    prompt: Prompt,
    options: RunOptions<Captured, Edited, Until> = {},
  ): Run<Captured> {
    checkOptions('run', options, RUN_CHECKS);
    const { cache, until, compute, checkInvariants, budget, ...sequence } = options;
    if (cache !== undefined && sequence.from !== undefined)
      throw new OptionError('run: with `from`, the tokens before come in from.cache: leave out `cache`.');
    return this.#runAll('run', [{ prompt, cache, ...sequence }], { until, compute, checkInvariants, budget })[0];
  }

  /**
   * `run` for several prompts of any lengths in one pass: a run for each, whose captures are its own. `edit` sees one sequence
   * at a time, `editBatch` the rows of all.
   *
   * @param sequences Prompts, or objects with a prompt each and options of their own.
   *   Those with `from` enter the pass at their layers, so that the layers before are computed for none of them.
   * @throws {HookError} and {OptionError} as `run` does; and where only some sequences have `from`.
   */
  runBatch<const Captured extends string = never, Edited extends string = never, const Until extends string = never>(
    sequences: readonly (Prompt | BatchSequence)[],
    options: BatchOptions<Captured, Edited, Until> = {},
  ): Run<Captured>[] {
    checkOptions('runBatch', options, BATCH_CHECKS);
    const { capture, edit, statistics, health, rows, ...common } = options;
    const all = batchSequences(sequences).map((sequence) => ({
      ...sequence,
      capture,
      statistics,
      health,
      edit: { ...edit, ...sequence.edit },
      rows: sequence.rows ?? rows,
    }));
    return this.#runAll('runBatch', all, common);
  }

  /**
   * The gradients of one number, made of the logits by `of`, in the activations at hooks: how the number answers to an edit
   * there. By reverse mode, in f32; weights, the choice of experts and whatever else is an integer are constant.
   *
   * Keyed as captures are, in the shapes of the activations. It keeps in memory what the gradients need of each layer from
   * the first hook on: of SmolLM2, 1.2 MB for each token of a short prompt, 1.6 MB at 512.
   *
   * @throws {HookError} for a name that the model does not have; for a hook that is computed only for those who look, with
   *   the hook to ask at instead; and for one that holds integers.
   * @throws {OptionError} as `run` does, and where `of` does not give one number that was computed from the logits.
   * @throws {VitrineError} where memory does not suffice.
   */
  gradients<const At extends string, const Captured extends string = never, Edited extends string = never>(
    prompt: Prompt,
    options: GradientOptions<At, Captured, Edited>,
  ): Gradients<At, Captured> {
    checkGradientOptions(options);
    const tokens = this.#checked('gradients', this.#tokensOf('gradients', prompt));
    const network = this.#network();
    this.#expectRoom('gradients', tokens.length);
    return this.#withCaches('gradients', [undefined], ([cache]) =>
      takeGradients(options, { network, backend: this.backend, hooks: this.hookPoints, tokens, cache }),
    );
  }

  #runAll(
    call: string,
    sequences: readonly (BatchSequence & Pick<RunOptions, 'capture' | 'statistics' | 'health'>)[],
    {
      compute = this.#loaded.compute ?? 'f32',
      ...settings
    }: Pick<BatchOptions, 'until' | 'compute' | 'editBatch' | 'checkInvariants' | 'budget'>,
  ): Run<string>[] {
    const network = this.#network();
    const tokens = sequences.map(({ prompt }) => this.#checked(call, this.#tokensOf(call, prompt)));
    const caches = sequences.map(({ cache }) => cache);
    expectOwnCaches(call, caches);
    tokens.forEach((own, i) => {
      this.#expectRoom(call, (caches[i]?.length ?? 0) + own.length);
    });
    return this.#withCaches(call, caches, (used) =>
      runSequences(
        sequences.map((sequence, i) => ({
          ...sequence,
          tokens: tokens[i],
          cache: used[i],
          isFresh: caches[i] === undefined,
        })),
        { ...settings, compute, call, network, backend: this.backend, hooks: this.hookPoints },
      ),
    );
  }

  /** The residual stream before the first block: scaled embeddings, with learned positions where the model has them. `[T, D]` f32. */
  embed(prompt: Prompt): Tensor {
    const tokens = this.#checked('embed', this.#tokensOf('embed', prompt));
    const network = this.#network();
    this.#expectRoom('embed', tokens.length);
    return this.#withCaches('embed', [undefined], ([cache]) => {
      const step = new Step(this.backend, [{ tokens, cache, seen: 0 }]);
      try {
        return network.embedded(step);
      } finally {
        step.dispose();
      }
    });
  }

  /**
   * The logits of any residual stream: final norm, head, scale and bound, as at the end of a pass; f32 products.
   *
   * @param residual `[..., D]` f32. Each `[T, D]` of it is computed by itself, so that the last layer's gives the logits of
   *   `run` bit for bit.
   * @returns `[..., V]` f32.
   */
  unembed(residual: Tensor): Tensor {
    return unembed(this.#network(), residual);
  }

  /**
   * Generates token by token, with turns of the event loop between tokens and between the layers of a long prompt.
   * Products are computed the fastest way, where the processor multiplies bf16 in that, unless `compute` says f32.
   * Captures change no bit. Edits that act in the pass see the prompt whole, so that it is not computed in chunks. A cache
   * that is given is in use until the iterator has ended; where no token came, it holds what it held before.
   *
   * @throws {NonFiniteLogitsError} for logits that no token can be chosen by, naming the first activation that is not
   *   finite.
   * @throws {HookError} as `run` does.
   * @throws {OptionError} for a wrong option.
   * @throws {VitrineError} for a cache in use.
   * @throws {DisposedError} where the cache or the model is disposed of meanwhile.
   * @throws {Error} the signal's reason on abort.
   */
  async *generate<const Captured extends string = never, Edited extends string = never>(
    prompt: Prompt,
    options: GenerateOptions<Captured, Edited> = {},
  ): AsyncGenerator<GeneratedToken<Captured>, void, undefined> {
    const { source, generationConfig } = this.files;
    const ends = endIds({ ...this.files, tokenizer: this.#tokenizer });
    const resolved = resolveOptions(options, { source, generationConfig, vocabSize: this.config.vocabSize, ends });
    const { capture, edit, statistics, health, budget, compute } = options;
    const tokens = this.#checked('generate', this.#tokensOf('generate', prompt));
    const tokenizer = resolved.stopStrings.length > 0 ? this.tokenizer : this.#tokenizer;
    const network = this.#network();
    const isObserved = [capture, edit, statistics, health].some((asked) => asked !== undefined);
    const hooks = isObserved
      ? registryOf([...network.hooks, ...samplerHooks(this.config.vocabSize)])
      : new Map<string, never>();
    const observers = isObserved ? observersFor({ capture, edit, statistics, health }, hooks) : undefined;
    const budgeted = { call: 'generate', budget, capture: capture ?? [], hooks, model: this.config };
    this.#expectRoom('generate', (options.cache?.length ?? 0) + tokens.length);
    if (resolved.maxTokens === 0) return;
    const cache = options.cache ?? this.newCache();
    const use = cache.use('generate', network.cacheLayout);
    try {
      const sequence = new Sequence({
        prompt: [...tokens],
        cache,
        options: resolved,
        tokenizer,
        continuesText: typeof prompt === 'string' ? true : isMessages(prompt) ? false : undefined,
        maxLength: this.maxLength,
        backend: this.backend,
      });
      const { requests } = this.#loaded;
      const signal = this.#weightScopes.interruption('generate', options.signal);
      const generation = { network, requests, backend: this.backend, sequence, observers, budgeted, signal, compute };
      yield* generateTokens(generation) as AsyncGenerator<GeneratedToken<Captured>, void, undefined>;
    } catch (error) {
      if (error instanceof DisposedError) this.#network(); // Says so where it is the model that is gone.
      throw error;
    } finally {
      cache.release(use);
      observers?.recorder.discard();
      if (options.cache === undefined) cache.dispose();
    }
  }

  /**
   * How well the model expects a text (with the tokens its tokenizer puts around it) or token ids: at least two.
   *
   * @throws {NonFiniteLogitsError} as `generate` does.
   * @throws {OptionError} for fewer than two tokens, and ids outside of the vocabulary.
   */
  score(prompt: string | TokenIds): Score {
    const tokens = this.#checked('score', this.#tokensOf('score', prompt));
    if (tokens.length < 2)
      throw new OptionError('score: expected at least two tokens, got one, which nothing precedes.');
    this.#expectRoom('score', tokens.length);
    const logprobs = new Float32Array(tokens.length - 1);
    this.#withCaches('score', [undefined], ([cache]) => {
      for (let from = 0; from < logprobs.length; from += SCORE_CHUNK) {
        const chunk = tokens.subarray(from, Math.min(from + SCORE_CHUNK, logprobs.length));
        const logits = runPass(this.#pass('score', [{ tokens: chunk, cache, textLength: tokens.length }], 'all')); // [rows, V]
        const values = logits.data();
        logits.dispose();
        const V = this.config.vocabSize;
        chunk.forEach((_, row) => {
          const rowLogits = values.subarray(row * V, (row + 1) * V);
          const broken = describeBroken(rowLogits);
          if (broken !== undefined)
            throw this.#explained('score', broken, tokens.subarray(0, from + chunk.length), from + row + 1);
          logprobs[from + row] = logprobOf(tokens[from + row + 1], rowLogits);
        });
      }
    });
    const nll = -logprobs.reduce((sum, logprob) => sum + logprob, 0);
    return { nll, perplexity: Math.exp(nll / logprobs.length), logprobs };
  }

  /** The token ids of a prompt. */
  tokensOf(prompt: Prompt): readonly number[] {
    return this.#tokensOf('tokensOf', prompt);
  }

  #tokensOf(call: string, prompt: Prompt): readonly number[] {
    checkPrompt(call, prompt);
    if (typeof prompt === 'string') return this.tokenizer.encode(prompt);
    if (isMessages(prompt)) return this.renderChat(prompt, { addGenerationPrompt: true }).tokens;
    return prompt instanceof Array ? prompt : Array.from(prompt);
  }

  /** Frees the weights. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    forgotten.unregister(this);
    this.#loaded.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  [Symbol.for('debug.description')](): string {
    return `Model ${this.files.source}`;
  }
  /** What it is, in a few lines. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const memory = this.#disposed ? 'freed' : `${formatBytes(this.weightBytes)} of weights on ${this.backend.name}`;
    return `Model ${this.files.source}\n  ${memory}, texts of up to ${this.maxLength} tokens\n  ${describeConfig(this.config).replaceAll('\n', '\n  ')}`;
  }

  #network(): LoadedNetwork['network'] {
    if (this.#disposed) throw new DisposedError(`${this.files.source}: the model was disposed of. Load it again.`);
    return this.#loaded.network;
  }

  #pass(call: string, sequences: readonly NewTokens[], rows: 'last' | 'all'): Pass {
    for (const { tokens, cache } of sequences) this.#expectRoom(call, cache.length + tokens.length);
    return { network: this.#network(), backend: this.backend, sequences, rows };
  }

  #explained(operation: string, broken: string, tokens: Int32Array, after: number): Error {
    const { network, requests } = this.#loaded;
    return drain(
      explainNonFinite(operation, broken, { network, requests, backend: this.backend, tokens: [...tokens], after }),
    );
  }

  #expectRoom(call: string, length: number): void {
    const { maxLength } = this;
    if (length <= maxLength) return;
    const { maxLength: learned } = this.#loaded.network;
    throw new VitrineError(
      learned <= maxLength
        ? `${call}: this model has learned ${learned} positions, and the text would have ${length} tokens. Shorten it.`
        : `${call}: the text would have ${length} tokens, and ${this.files.source} was loaded for at most ${maxLength}. ` +
            'Shorten it, or load the model with a larger context (--context).',
    );
  }

  /** Runs `body` with exclusive use of the given caches, and of new ones for those not given, which it then frees. */
  #withCaches<R>(call: string, caches: readonly (KvCache | undefined)[], body: (caches: readonly KvCache[]) => R): R {
    const { cacheLayout } = this.#network();
    const uses: (() => void)[] = [];
    try {
      const used = caches.map((given) => {
        const cache = given ?? this.newCache();
        const use = cache.use(call, cacheLayout);
        uses.push(() => {
          cache.release(use);
          if (given === undefined) cache.dispose();
        });
        return cache;
      });
      return body(used);
    } finally {
      for (const end of uses) end();
    }
  }

  #checked(call: string, tokens: ArrayLike<number>): Int32Array {
    return checkTokens(call, tokens, this.config.vocabSize);
  }
}
