// Mutated tokenizer.json and tokenizer_config.json: texts are encoded and decoded with the tokenizers that can be built.
import { readdirSync, readFileSync } from 'node:fs';
import { Tokenizer } from '../dist/index.js';

/** @typedef {import('./random.mjs').Random} Random */
/** @typedef {Record<string, unknown>} Json */

const folder = new URL('../test/fixtures/tokenizers/', import.meta.url);
const steps = new URL('../test/fixtures/tokenizer-steps/cases.json', import.meta.url);
/**
 * @template T
 * @param {T} json
 * @returns {T}
 */
const clone = (json) => JSON.parse(JSON.stringify(json) ?? 'null');
const read = (/** @type {URL} */ url) => JSON.parse(readFileSync(url, 'utf8'));

/** @type {{ tokenizer: Json, config: Json }[]} */
const originals = [];
/** @type {unknown[]} */
const fragments = [];

const PATTERNS = [
  '(a+)+$',
  '(a|a)*b',
  '(x+x+)+y',
  '(.*a)*z',
  '\\s+$',
  '(?=(a+))*b',
  '(?>a+)+b',
  '[',
  '(?i:ß)',
  'a{99999}',
  '((a{99}){99}){99}',
  '\\p{Han}++',
  '',
];
const VALUES = [
  null,
  true,
  0,
  -1,
  1.5,
  2 ** 53,
  '',
  'a',
  '👩',
  '\ud800',
  'x'.repeat(70_000),
  [],
  {},
  [[]],
  '__proto__',
];
const TEXTS = [
  '',
  'Hello world, 12345 naïve_x  <|im_start|>user\n\n',
  'a'.repeat(3000),
  ' '.repeat(3000) + 'x',
  '👩\u200d👩\u200d👧\u200d👦'.repeat(100),
  '\ufeff\u0085\u2028\r\n\t\0\u0301e\u0301',
  '\ud800x\udc00',
  "'".repeat(2000),
  'ﷺ'.repeat(500),
];

export default {
  about:
    'mutated tokenizers: a TokenizerError or valid ids, in bounded time and memory; unchanged ones decode their ids',
  limit: { seconds: 5, megabytes: 768 },

  setup() {
    for (const name of readdirSync(folder)) {
      if (name === 'smollm2') continue;
      originals.push({
        tokenizer: read(new URL(`${name}/tokenizer.json`, folder)),
        config: read(new URL(`${name}/tokenizer_config.json`, folder)),
      });
    }
    const cases = read(steps);
    for (const kind of ['preTokenizers', 'normalizers', 'decoders']) {
      for (const [config] of cases[kind]) fragments.push(config);
    }
    for (const [tokenizer] of cases.tokenizers) originals.push({ tokenizer, config: {} });
  },

  /** @param {Random} random */
  run(random) {
    const files = clone(random.pick(originals));
    const changes = random.int(4);
    for (let i = 0; i < changes; i++) mutate(random, files);
    let tokenizer;
    try {
      tokenizer = new Tokenizer({ ...files, chatTemplate: undefined });
    } catch (error) {
      return refused(error, 'refused');
    }
    let label = changes === 0 ? 'unchanged' : 'loaded';
    for (const text of [random.pick(TEXTS), random.pick(TEXTS)]) {
      try {
        const ids = tokenizer.encode(text, { addSpecialTokens: random.chance(0.5), allowSpecial: random.chance(0.5) });
        if (!ids.every((id) => Number.isInteger(id) && id >= 0)) throw new Error(`an invalid id: ${ids}`);
        const decoded = tokenizer.decode(ids, { skipSpecialTokens: random.chance(0.5) });
        const stream = tokenizer.stream();
        for (const id of ids.slice(0, 200)) stream.push(id);
        stream.end();
        const isLossless = changes === 0 && files.config.chat_template !== undefined;
        if (isLossless && tokenizer.decode(tokenizer.encode(decoded)).length < decoded.length / 2) {
          throw new Error('decoding lost half of a text');
        }
      } catch (error) {
        label = refused(error, 'refused at use');
      }
    }
    return label;
  },
};

/**
 * @param {unknown} error
 * @param {string} label
 */
function refused(error, label) {
  const { name, message } = /** @type {Error} */ (error);
  if (name !== 'TokenizerError') throw error;
  if (message.length > 1000) throw new Error(`a message of ${message.length} characters`);
  return message.includes('stopped after') ? 'stopped' : label;
}

/**
 * @param {Random} random
 * @param {{ tokenizer: Json, config: Json }} files
 */
function mutate(random, files) {
  if (random.chance(0.3)) {
    const part = random.pick(['pre_tokenizer', 'normalizer', 'decoder', 'post_processor']);
    files.tokenizer[part] = clone(random.pick(fragments));
    return;
  }
  if (random.chance(0.2)) {
    const pattern = { Regex: random.pick(PATTERNS) };
    if (random.chance(0.5)) {
      files.tokenizer.pre_tokenizer = {
        type: 'Split',
        pattern,
        behavior: random.pick(['Isolated', 'Removed']),
        invert: random.chance(0.5),
      };
    } else files.tokenizer[random.pick(['normalizer', 'decoder'])] = { type: 'Replace', pattern, content: 'xx' };
    return;
  }
  if (random.chance(0.1)) {
    const step = { type: 'Replace', pattern: { String: '' }, content: 'ab' };
    files.tokenizer.normalizer = { type: 'Sequence', normalizers: Array.from({ length: random.int(60) }, () => step) };
    return;
  }
  // A random path leads to a value, which is removed, changed, or copied over another.
  /** @type {any} */
  let at = random.chance(0.8) ? files.tokenizer : files.config;
  for (;;) {
    const keys = Object.keys(at);
    if (keys.length === 0) return;
    const key = random.pick(keys);
    const value = at[key];
    if (typeof value === 'object' && value !== null && random.chance(0.8)) {
      at = value;
      continue;
    }
    const kind = random.int(4);
    if (kind === 0) delete at[key];
    else if (kind === 1) at[key] = random.pick(VALUES);
    else if (kind === 2) at[key] = clone(at[random.pick(keys)]);
    else
      at[random.pick(keys)] =
        typeof value === 'string' ? value.slice(random.int(value.length + 1)) : random.pick(VALUES);
    return;
  }
}
