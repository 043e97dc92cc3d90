// Captures and edits in random combinations on the small models of `test/fixtures`.
import { readdirSync } from 'node:fs';
import { BACKEND_NAMES, HookError, liveTensors, load } from '../dist/index.js';

const MODELS = new URL('../test/fixtures/models/', import.meta.url);
const names = readdirSync(MODELS, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? entry.name : []));
const LONGEST = 40;
const NEW_TOKENS = 3;

/** @typedef {import('../dist/index.js').Model} Model */
/** @typedef {import('../dist/index.js').Edit} Edit */
/** @typedef {import('./random.mjs').Random} Random */

/** @type {Map<string, Model>} */
const loaded = new Map();

/** @param {Random} random */
async function someModel(random) {
  const name = random.pick(names);
  const backend = random.pick(BACKEND_NAMES);
  const compute = random.pick(/** @type {const} */ (['f32', 'bf16']));
  const mla = random.pick(/** @type {const} */ (['absorbed', 'naive']));
  const key = [name, backend, compute, mla].join(' ');
  const known = loaded.get(key);
  if (known !== undefined) return known;
  if (loaded.size >= 6) {
    const [[oldest, model]] = loaded;
    loaded.delete(oldest);
    model.dispose();
  }
  const model = await load(new URL(name, MODELS).pathname, { backend, compute, mla });
  loaded.set(key, model);
  return model;
}

/** The name of a hook, or a glob over layers, or over the hooks of a part. @param {Random} random @param {string} hook */
function asked(random, hook) {
  if (random.chance(0.6)) return hook;
  if (random.chance(0.5)) return hook.replace(/^blocks\.\d+\./, 'blocks.*.');
  return hook.replace(/[^.]+$/, '*');
}

/** @type {Readonly<Record<string, Edit>>} */
const IDENTITIES = {
  nothing: () => undefined,
  itself: (value) => value,
  copy: (value) => value.clone(),
  numbers: (value) => value.data(),
};

/** @param {Model} model @param {string} hook @returns {Edit} */
function perturbation(model, hook) {
  const { vocabSize, experts } = model.config;
  return (value) => {
    const numbers = value.data();
    if (value.dtype !== 'i32') return numbers.map((x, i) => -2 * x + ((i * 7) % 5) - 1.5);
    const count = hook.endsWith('expert_indices')
      ? (experts?.count ?? 1)
      : hook.endsWith('group_indices')
        ? 2
        : vocabSize;
    return numbers.map((id) => (id + 1) % count);
  };
}

/** @param {Float32Array} a @param {Float32Array} b */
const same = (a, b) => a.length === b.length && a.every((x, i) => Object.is(x, b[i]));

export default {
  about:
    'captures, and edits that change nothing, change no bit; other edits take effect or are refused; no tensor is left behind',
  limit: { seconds: 20, megabytes: 2048 },

  /** @param {Random} random */
  async run(random) {
    const model = await someModel(random);
    const before = { tensors: liveTensors(), handles: model.backend.liveHandles() };
    const longest = Math.min(LONGEST, model.maxLength - NEW_TOKENS);
    const tokens = Array.from({ length: 1 + random.int(longest) }, () => random.int(model.config.vocabSize));
    const hooks = Array.from({ length: 1 + random.int(4) }, () => random.pick(model.hooks));
    const label = random.chance(0.5)
      ? once(random, model, tokens, hooks)
      : await generated(random, model, tokens, hooks);
    const after = { tensors: liveTensors(), handles: model.backend.liveHandles() };
    if (after.tensors !== before.tensors || after.handles !== before.handles)
      throw new Error(`${label}: ${JSON.stringify(before)} became ${JSON.stringify(after)}`);
    return label;
  },
};

/** @param {Model} model @param {number[]} tokens @param {import('../dist/index.js').Hooks} [hooks] */
function logitsOf(model, tokens, hooks = {}) {
  const run = model.run(tokens, hooks);
  try {
    return run.logits.data();
  } finally {
    run.dispose();
  }
}

/** @param {Random} random @param {Model} model @param {number[]} tokens @param {string[]} hooks */
function once(random, model, tokens, hooks) {
  const logits = logitsOf(model, tokens);
  const kind = random.pick(['capture', 'identity', 'perturbation']);
  const capture = kind === 'capture' || random.chance(0.3) ? hooks.map((hook) => asked(random, hook)) : undefined;
  const [hook] = hooks;
  const change = kind === 'identity' ? random.pick(Object.values(IDENTITIES)) : perturbation(model, hook);
  let calls = 0;
  /** @type {Edit} */
  const edit = (value, at) => {
    calls++;
    return change(value, at);
  };
  try {
    const after = logitsOf(model, tokens, { capture, edit: kind === 'capture' ? undefined : { [hook]: edit } });
    const unchanged = same(after, logits);
    if (kind !== 'perturbation' && !unchanged) throw new Error(`${kind} of ${hook} changed a bit`);
    // A change of scores may not change the choice, and a single token attends to itself whatever its score.
    const mustAct =
      kind === 'perturbation' && calls > 0 && tokens.length > 1 && !/biased_scores|group_indices/.test(hook);
    if (mustAct && unchanged) throw new Error(`an edit of ${hook} changed nothing`);
    return calls === 0 && kind !== 'capture' ? `${kind}: not reached` : kind;
  } catch (error) {
    if (error instanceof HookError) return `${kind}: refused`;
    throw error;
  }
}

/** @param {Random} random @param {Model} model @param {number[]} tokens @param {string[]} hooks */
async function generated(random, model, tokens, hooks) {
  const options = { temperature: 0, repetitionPenalty: 1, ignoreEos: true, maxTokens: 1 + random.int(NEW_TOKENS) };
  /** @param {import('../dist/index.js').Hooks} looking */
  const answers = async (looking) => {
    const all = [];
    for await (const { token, logprob } of model.generate(tokens, { ...options, ...looking })) all.push(token, logprob);
    return Float32Array.from(all);
  };
  const plain = await answers({});
  const identity = random.pick(Object.values(IDENTITIES));
  const capture = hooks.map((hook) => asked(random, hook));
  const looking = random.chance(0.5)
    ? { capture }
    : { capture, edit: { [hooks[0]]: identity, 'sampler.hook_logits': identity } };
  try {
    if (!same(await answers(looking), plain))
      throw new Error(`generation, looking at ${capture.join(', ')}, changed a bit`);
    return 'generated';
  } catch (error) {
    if (error instanceof HookError) return 'generated: refused';
    throw error;
  }
}
