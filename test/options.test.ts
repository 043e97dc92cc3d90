import { rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as vitrine from '../src/index.ts';
import { show } from '../src/options.ts';
import { modelFolder } from './support/fixtures.ts';

const { OptionError, VitrineError } = vitrine;

/** A list whose second item is missing. */
const sparse = Object.assign(new Array<number>(3), { 0: 1, 2: 3 });

/** Values of every type that JavaScript has; which of them an option takes is for the option to say. */
const anything = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    NaN,
    Infinity,
    -Infinity,
    -1,
    0,
    0.5,
    1e9,
    2 ** 53,
    1n,
    -(2n ** 70n),
    '',
    '3',
    'x',
    true,
    false,
    Symbol('s'),
    [],
    {},
    [null],
    [[]],
    new Map([[1, 2]]),
    new Set([1]),
    new Date(NaN),
    /x/,
    () => undefined,
    new Float32Array(2),
    new BigInt64Array(1),
    new ArrayBuffer(8),
    new DataView(new ArrayBuffer(8)),
    Object.create(null),
    new Proxy({}, {}),
    new Array(3),
    Promise.resolve(),
  ),
  fc.anything({
    maxDepth: 2,
    withBigInt: true,
    withTypedArray: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withSparseArray: true,
    withNullPrototype: true,
  }),
  fc.string({ maxLength: 200 }),
);

describe('public calls', () => {
  let model: vitrine.Model;
  let folder: string;
  beforeAll(async () => {
    model = await vitrine.load(modelFolder('llama_gqa_tied'), { backend: 'reference' });
    folder = mkdtempSync(join(tmpdir(), 'vitrine-options-'));
  });
  afterAll(() => {
    model.dispose();
    rmSync(folder, { recursive: true });
  });

  /** Holds a call to its promise: it takes the value, or says in a bounded VitrineError what is wrong. */
  async function holds(call: (value: never) => unknown, value: unknown): Promise<string> {
    try {
      const result: unknown = await call(value as never);
      for (const made of [result].flat())
        if (made instanceof vitrine.Tensor || made instanceof vitrine.KvCache) made.dispose();
      return 'taken';
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      expect(error.message.length).toBeLessThan(2000);
      return 'refused';
    }
  }

  const options = [
    'backend',
    'threads',
    'revision',
    'weights',
    'compute',
    'mla',
    'context',
    'maxMemory',
    'onProgress',
    'signal',
  ];
  const generateOptions = [
    'temperature',
    'topK',
    'topP',
    'minP',
    'typicalP',
    'repetitionPenalty',
    'presencePenalty',
    'frequencyPenalty',
    'noRepeatNgramSize',
    'logitBias',
    'seed',
    'maxTokens',
    'stop',
    'ignoreEos',
    'logprobs',
    'cache',
    'signal',
    'capture',
    'edit',
  ];
  const cacheFor = async (use: (cache: vitrine.KvCache) => unknown): Promise<unknown> => {
    using cache = model.newCache();
    model.forward([1, 2, 3], { cache }).dispose();
    const made = await use(cache);
    if (made instanceof vitrine.KvCache) made.dispose();
    return undefined;
  };
  const generate = async (prompt: never, given: object = {}): Promise<void> => {
    const tokens = model.generate(prompt, { maxTokens: 1, ...given });
    await tokens.next();
    await tokens.return();
  };
  const tensor = (use: (x: vitrine.Tensor) => unknown): undefined => {
    vitrine.scope('', () => {
      use(vitrine.Tensor.from(model.backend, [1, 2, 3, 4], [2, 2]));
    });
  };

  const tensorCalls: readonly [string, (x: vitrine.Tensor, value: never) => unknown][] = [
    ['at', (x, value) => x.at(value)],
    ['pow', (x, value) => x.pow(value)],
    ['var', (x, value) => x.var(value)],
    ['var options', (x, value) => x.var(0, value)],
    ['norm options', (x, value) => x.norm(0, value)],
    ['sum options', (x, value) => x.sum(0, value)],
    ['matmul options', (x, value) => x.matmul(x, value)],
    ['greater', (x, value) => x.greater(value)],
    ['topk', (x, value) => x.topk(value)],
    ['topk axis', (x, value) => x.topk(1, value)],
    ['argmax', (x, value) => x.argmax(value)],
    ['argmax options', (x, value) => x.argmax(0, value)],
    ['sort options', (x, value) => x.sort(0, value)],
    ['gather indices', (x, value) => x.gather(value)],
    ['takeAlong', (x, value) => x.takeAlong(value, 0)],
    ['squeeze', (x, value) => x.squeeze(value)],
    ['unsqueeze', (x, value) => x.unsqueeze(value)],
    ['broadcastTo', (x, value) => x.broadcastTo(value)],
    ['softmax', (x, value) => x.softmax(value)],
    ['logSoftmax', (x, value) => x.logSoftmax(value)],
    ['cumsum', (x, value) => x.cumsum(value)],
    ['stack', (_, value) => vitrine.stack(value)],
    ['stack axis', (x, value) => vitrine.stack([x, x], value)],
    ['where', (_, value) => vitrine.where(value, 1, 2)],
    ['where choice', (x, value) => vitrine.where(x, value, 2)],
    ['einsum', (x, value) => vitrine.einsum(value, x)],
    ['einsum operand', (_, value) => vitrine.einsum('ij', value)],
    ['newTensor', (x, value) => x.newTensor(value)],
  ];

  const calls: [string, (value: never) => unknown][] = [
    // A string or an existing path is for the loader to judge.
    ['load', (value) => (typeof value === 'string' ? undefined : vitrine.load(value))],
    ['load options', (value) => vitrine.load(modelFolder('llama_gqa_tied'), value).then((made) => { made.dispose(); })], // prettier-ignore
    ...options.map((name): [string, (value: never) => unknown] => [
      `load ${name}`,
      (value) =>
        vitrine.load(modelFolder('qwen2'), { backend: 'reference', [name]: value }).then((made) => {
          made.dispose();
        }),
    ]),
    ['openModel options', (value) => vitrine.openModel(modelFolder('qwen2'), value).then(({ checkpoint }) => checkpoint.close())], // prettier-ignore
    ['loadTokenizer', (value) => (typeof value === 'string' ? undefined : vitrine.loadTokenizer(value))],
    ['generate', (value) => generate(value)],
    ['generate of a list', (value) => generate([value] as never)],
    ['generate options', async (value) => model.generate([1], value).next()],
    ...generateOptions.map((name): [string, (value: never) => unknown] => [
      `generate ${name}`,
      (value) => generate([1, 2] as never, { maxTokens: 1, [name]: value }),
    ]),
    ['forward', (value) => model.forward(value)],
    ['forward of a list', (value) => model.forward([value])],
    ['forward options', (value) => model.forward([1], value)],
    ['forward cache', (value) => model.forward([1], { cache: value })],
    ['forward logits', (value) => model.forward([1], { logits: value })],
    ['forwardBatch', (value) => model.forwardBatch(value)],
    ['forwardBatch of a list', (value) => model.forwardBatch([value])],
    ['forwardBatch cache', (value) => model.forwardBatch([{ tokens: [1], cache: value }])],
    ['run', (value) => { model.run(value).dispose(); }], // prettier-ignore
    ['run options', (value) => { model.run([1], value).dispose(); }], // prettier-ignore
    ['run edit', (value) => { model.run([1], { edit: { hook_embed: value } }).dispose(); }], // prettier-ignore
    ['score', (value) => model.score(value)],
    ['tokensOf', (value) => model.tokensOf(value)],
    ['renderChat', (value) => model.renderChat(value)],
    ['renderChat variables', (value) => model.renderChat([{ role: 'user', content: 'x' }], value)],
    ['renderChat tools', (value) => model.renderChat([{ role: 'user', content: 'x' }], { tools: value })],
    ['renderChat now', (value) => model.renderChat([{ role: 'user', content: 'x' }], { now: value })],
    ['KvCache.truncate', (value) => cacheFor((cache) => { cache.truncate(value); })], // prettier-ignore
    ['encode', (value) => model.tokenizer.encode(value)],
    ['encode options', (value) => model.tokenizer.encode('x', value)],
    ['decode', (value) => model.tokenizer.decode(value)],
    ['decode options', (value) => model.tokenizer.decode([1], value)],
    ['stream options', (value) => model.tokenizer.stream(value)],
    ['stream.push', (value) => model.tokenizer.stream().push(value)],
    ['tokenOf', (value) => model.tokenizer.tokenOf(value)],
    ['idOf', (value) => model.tokenizer.idOf(value)],
    ['templateReads', (value) => model.tokenizer.templateReads(value)],
    ['openSafetensors', (value) => (typeof value === 'string' ? undefined : vitrine.openSafetensors(value))],
    ['writeSafetensors path', (value) => (typeof value === 'string' ? undefined : vitrine.writeSafetensors(value, {}))],
    ['writeSafetensors', (value) => vitrine.writeSafetensors(join(folder, 'a'), value)],
    ['writeSafetensors of a tensor', (value) => vitrine.writeSafetensors(join(folder, 'b'), { x: value })],
    ['writeSafetensors shape', (value) => vitrine.writeSafetensors(join(folder, 'c'), { x: { dtype: 'U8', shape: value, data: new Uint8Array(1) } })], // prettier-ignore
    ['writeSafetensors dtype', (value) => vitrine.writeSafetensors(join(folder, 'd'), { x: { dtype: value, shape: [1], data: new Uint8Array(1) } })], // prettier-ignore
    ['writeSafetensors data', (value) => vitrine.writeSafetensors(join(folder, 'e'), { x: { dtype: 'U8', shape: [1], data: value } })], // prettier-ignore
    ['writeSafetensors metadata', (value) => vitrine.writeSafetensors(join(folder, 'f'), {}, value)],
    ['convert', (value) => (typeof value === 'string' ? undefined : vitrine.convert(value, join(folder, 'g')))],
    ['convert folder', (value) => (typeof value === 'string' ? undefined : vitrine.convert('missing.gguf', value))],
    ['convert options', (value) => vitrine.convert('missing.gguf', join(folder, 'h'), value)],
    ['createBackend', (value) => { vitrine.createBackend(value); }], // prettier-ignore
    ['createBackend options', (value) => { vitrine.createBackend('reference', value); }], // prettier-ignore
    ['backendStatus', (value) => { vitrine.backendStatus(value); }], // prettier-ignore
    ['probabilities', (value) => vitrine.probabilities(value)],
    ['probabilities options', (value) => vitrine.probabilities(Float32Array.of(1, 2), value)],
    ['probabilities tokens', (value) => vitrine.probabilities(Float32Array.of(1, 2), {}, value)],
    ['Tensor.from backend', (value) => vitrine.Tensor.from(value, [1])],
    ['Tensor.from values', (value) => vitrine.Tensor.from(model.backend, value)],
    ['Tensor.from shape', (value) => vitrine.Tensor.from(model.backend, [1], value)],
    ['concat', (value) => vitrine.concat(value)],
    [
      'concat axis',
      (value) => {
        tensor((x) => vitrine.concat([x, x], value));
      },
    ],
    [
      'add',
      (value) => {
        tensor((x) => x.add(value));
      },
    ],
    [
      'matmul',
      (value) => {
        tensor((x) => x.matmul(value));
      },
    ],
    [
      'sum',
      (value) => {
        tensor((x) => x.sum(value));
      },
    ],
    [
      'reshape',
      (value) => {
        tensor((x) => x.reshape(value));
      },
    ],
    [
      'transpose',
      (value) => {
        tensor((x) => x.transpose(value));
      },
    ],
    [
      'slice',
      (value) => {
        tensor((x) => x.slice(value, [1, 1]));
      },
    ],
    [
      'slice size',
      (value) => {
        tensor((x) => x.slice([0, 0], value));
      },
    ],
    ...tensorCalls.map(([name, use]): [string, (value: never) => unknown] => [
      name,
      (value) => {
        tensor((x) => use(x, value));
      },
    ]),
    [
      'split',
      (value) => {
        tensor((x) => x.split(value));
      },
    ],
    [
      'gather',
      (value) => {
        tensor((x) => x.gather(value));
      },
    ],
    [
      'cast',
      (value) => {
        tensor((x) => x.cast(value));
      },
    ],
    ['keep', (value) => vitrine.keep(value)],
    ['scope', (value) => { vitrine.scope(value, () => 1); }], // prettier-ignore
    ['channelParser', (value) => { vitrine.channelParser(value); }], // prettier-ignore
    ['channelParser.push', (value) => vitrine.channelParser('think').push(value)],
    ['parseChannels', (value) => vitrine.parseChannels('harmony', value)],
    ['parseChannels options', (value) => vitrine.parseChannels('think', 'x', value)],
    ['parseToolCalls', (value) => vitrine.parseToolCalls(value)],
    ['joinSpans', (value) => vitrine.joinSpans(value)],
    ['renderTemplate', (value) => vitrine.renderTemplate(value, [])],
    ['renderTemplate messages', (value) => vitrine.renderTemplate('{{ messages }}', value)],
    ['renderTemplate variables', (value) => vitrine.renderTemplate('{{ messages }}', [], value)],
  ];

  it.each(calls)('%s takes any value or says what is wrong with it', async (_, call) => {
    // What is absent is fine.
    const given = anything.filter((value) => value !== undefined);
    const verdicts = new Set<string>();
    await fc.assert(
      fc.asyncProperty(given, async (value) => {
        verdicts.add(await holds(call, value));
      }),
      { numRuns: 60, seed: 7 },
    );
    if (!['idOf', 'templateReads', 'keep', 'load mla'].includes(_)) expect([...verdicts]).toContain('refused');
  });

  it.each<[string, () => unknown, RegExp]>([
    ['threads', () => vitrine.load('x', { threads: -1 }), /^load: threads must be a whole number from 1 to \d+, got -1\.$/], // prettier-ignore
    ['many threads', () => vitrine.createBackend('tensorflow', { threads: 1e6 }), /^createBackend: threads must be .* to \d+, got 1000000\.$/], // prettier-ignore
    [
      'a text for a number',
      () => vitrine.load('x', { context: '5' as never }),
      /^load: context must be .*, got "5"\.$/,
    ],
    ['a bigint seed', () => generate([1] as never, { seed: 1n }), /^generate: seed must be .*, got 1n\.$/],
    ['a Map of biases', () => generate([1] as never, { logitBias: new Map() }), /logitBias must be an object .*, got a Map\.$/], // prettier-ignore
    ['a list of stops with null', () => generate([1] as never, { stop: [null] }), /stop must be .*, got \[null\]\.$/],
    ['logprobs beyond the vocabulary', () => generate([1] as never, { logprobs: 1e9 }), /logprobs must be a whole number from 0 to 512, got 1000000000\.$/], // prettier-ignore
    ['a name for names', () => generate([1] as never, { capture: 'hook_embed' }), /capture must be a list of strings, got "hook_embed"\.$/], // prettier-ignore
    ['a list of edits', () => generate([1] as never, { edit: [] }), /edit must be an object of functions by hook name, got \[\]\.$/], // prettier-ignore
    ['another spelling', () => generate([1] as never, { max_tokens: 3 }), /^generate: there is no option "max_tokens"\. Nearest: maxTokens/], // prettier-ignore
    ['a slip', () => generate([1] as never, { temprature: 3 }), /Nearest: temperature/],
    ['no tokens', () => model.forward({} as never), /^forward: tokens must be a list or typed array of token ids, got \{\}\.$/], // prettier-ignore
    [
      'a hole',
      () => model.forward(sparse),
      /^forward: token 1 of the prompt is undefined: expected an id from 0 to 511/,
    ],
    ['NaN', () => model.forward([NaN]), /token 0 of the prompt is NaN/],
    ['no prompt', () => generate(undefined as never), /^generate: the prompt must be a text, .*, got undefined\.$/],
    [
      'a message without a role',
      () => generate([{}] as never),
      /the prompt must be .* with a role each, got \[\{\}\]\.$/,
    ],
  ])('an error names the call and shows the value: %s', async (_, call, message) => {
    const attempt = (async () => {
      await call();
    })();
    await expect(attempt).rejects.toThrow(OptionError);
    await expect(attempt).rejects.toThrow(message);
  });

  it('check the options that an object inherits', () => {
    expect(() => model.forward([1], Object.create({ logits: 'some' }) as object)).toThrow(
      /logits must be "last" or "all"/,
    );
  });

  it.each(['constructor', 'toString', '__proto__'])('render a variable of a template that is called %s', (name) => {
    const variables = Object.defineProperty({}, name, { value: 'given', enumerable: true });
    expect(vitrine.renderTemplate(`{{ ${name} }}`, [], variables)).toBe('given');
  });

  it('take token ids in typed arrays', async () => {
    using whole = model.forward([1, 2, 3]);
    for (const type of [Uint8Array, Uint16Array, Uint32Array, Int32Array]) {
      using same = model.forward(type.of(1, 2, 3));
      expect(same.data()).toEqual(whole.data());
      const run = model.run(type.of(1, 2, 3));
      run.dispose();
      expect((await model.generate(type.of(1, 2, 3), { temperature: 0 }).next()).value).toMatchObject({
        token: expect.any(Number) as number,
      });
    }
  });
});

describe('show', () => {
  it('gives a bounded text for any value', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withTypedArray: true, withSparseArray: true }), (value) => {
        expect(show(value).length).toBeLessThan(1500);
      }),
    );
    expect(show('x'.repeat(1e6))).toBe(`"${'x'.repeat(60)}"... (1000000 characters)`);
    expect(show(new Float32Array(1e6)).length).toBeLessThan(60);
  });

  it('runs no code of the value', () => {
    const trap = {
      get a(): never {
        throw new Error('ran');
      },
      toJSON: () => {
        throw new Error('ran');
      },
      toString: () => {
        throw new Error('ran');
      },
    };
    expect(show(trap)).toMatch(/^\{a: undefined, toJSON: a function/);
  });
});
