// Values of every type for the options and arguments of public calls.
import { fileURLToPath } from 'node:url';
import {
  KvCache,
  liveTensors,
  load,
  parseChannels,
  probabilities,
  renderTemplate,
  Tensor,
  VitrineError,
} from '../dist/index.js';

/** @typedef {import('./random.mjs').Random} Random */

const OPTIONS = [
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
  'max_tokens',
  '__proto__',
];

const stopped = new globalThis.AbortController();
stopped.abort();

/** @type {import('../dist/index.js').Model} */
let model;

/**
 * @param {Random} random
 * @returns {unknown}
 */
function value(random, depth = 0) {
  const simple = [
    undefined,
    null,
    NaN,
    Infinity,
    -Infinity,
    -0,
    -1,
    0,
    0.5,
    1,
    2,
    3,
    511,
    512,
    1e9,
    2 ** 53,
    1n,
    -(2n ** 70n),
    '',
    '3',
    'last',
    'all',
    'auto',
    'x'.repeat(1000),
    '\ud800',
    '\0',
    true,
    false,
    Symbol('s'),
    () => undefined,
    new Map([[1, 2]]),
    new Set([1]),
    new Date(NaN),
    /x/,
    new BigInt64Array(2),
    new DataView(new ArrayBuffer(8)),
    Object.create(null),
    Promise.resolve(1),
    stopped.signal,
  ];
  const kind = random.int(depth > 2 ? 2 : 6);
  if (kind === 0) return random.int(1000) - 100;
  if (kind === 1 || kind === 2) return random.pick(simple);
  if (kind === 3) return Array.from({ length: random.int(4) }, () => value(random, depth + 1));
  if (kind === 4)
    return random.pick([
      new Float32Array(random.int(4)),
      Int32Array.from(random.bytes(random.int(4))),
      new Array(random.int(4)),
    ]);
  const names = [...OPTIONS, 'role', 'content', 'tokens', 'logits', '5'];
  return Object.fromEntries(
    Array.from({ length: random.int(3) }, () => [random.pick(names), value(random, depth + 1)]),
  );
}

/** @type {((x: any, random: Random) => unknown)[]} */
const CALLS = [
  (x) => model.forward(x),
  (x) => model.forward([1], x),
  (x) => model.forwardBatch(x),
  (x) => model.forwardBatch([x, { tokens: [1] }]),
  (x) => model.run(x).dispose(),
  (x) => model.run([1], x).dispose(),
  (x) => (typeof x === 'string' && x.length > 100 ? undefined : model.score(x)),
  (x) => first(x, {}),
  (x) => first([1], x),
  (x, random) => first([1], { [random.pick(OPTIONS)]: x }),
  (x) => model.renderChat(x),
  (x) => model.renderChat([{ role: 'user', content: x }], x),
  (x) => model.tokenizer.encode(x),
  (x) => model.tokenizer.decode(x),
  (x) => model.tokenizer.decode([1], x),
  (x) => model.tokenizer.stream(x),
  (x) => model.tokenizer.tokenOf(x),
  (x) => Tensor.from(model.backend, x),
  (x) => Tensor.from(model.backend, [1, 2], x),
  (x) => Tensor.from(x, [1]),
  (x) => probabilities(x),
  (x) => probabilities(Float32Array.of(1, 2), x),
  (x) => probabilities(Float32Array.of(1, 2), {}, x),
  (x) => parseChannels('think', x),
  (x) => parseChannels(x, 'text'),
  (x) => renderTemplate('{{ messages }}', x),
  (x) => load(fixture, x).then((made) => made.dispose()),
];

/**
 * @param {any} prompt
 * @param {any} options
 */
async function first(prompt, options) {
  const tokens = model.generate(prompt, typeof options === 'object' ? { maxTokens: 1, ...options } : options);
  try {
    await tokens.next();
  } finally {
    await tokens.return();
  }
}

/**
 * @param {(x: any, random: Random) => unknown} call
 * @param {unknown} given
 * @param {Random} random
 */
async function tried(call, given, random) {
  try {
    const made = await call(given, random);
    for (const tensor of [made].flat()) if (tensor instanceof Tensor || tensor instanceof KvCache) tensor.dispose();
    return 'accepted';
  } catch (error) {
    if (error === stopped.signal.reason) return 'aborted';
    if (!(error instanceof VitrineError)) throw new Error(`${call}: ${error}`, { cause: error });
    if (error.message.length > 2000)
      throw new Error(`a message of ${error.message.length} characters`, { cause: error });
    return 'refused';
  }
}

const fixture = fileURLToPath(new URL('../test/fixtures/models/llama_gqa_tied', import.meta.url));

export default {
  about:
    'a value of any type for any option or argument of a public call is accepted, or refused with a VitrineError, and leaves no tensor behind',
  limit: { seconds: 5, megabytes: 512 },
  async setup() {
    model = await load(fixture, { backend: 'reference' });
  },
  /** @param {Random} random */
  async run(random) {
    const before = liveTensors();
    const call = random.pick(CALLS);
    const given = value(random);
    const outcome = await tried(call, given, random);
    if (liveTensors() > before) throw new Error(`${call}: left ${liveTensors() - before} tensors`);
    return outcome;
  },
};
