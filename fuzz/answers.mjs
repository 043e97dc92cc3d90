// Answers: the text, channels and tool calls that tokens give, and where they stop.
import assert from 'node:assert/strict';
import { Answer } from '../dist/engine/generate/answer.js';
import { channelParser, joinSpans, parseChannels, Tokenizer } from '../dist/index.js';

/** @typedef {import('./random.mjs').Random} Random */
/** @typedef {import('../dist/index.js').ChannelSpan} ChannelSpan */

const HARMONY = ['<|start|>', '<|channel|>', '<|constrain|>', '<|message|>', '<|end|>', '<|call|>', '<|return|>'];
const SPECIAL = [...HARMONY, '<|im_start|>', '<|im_end|>'];
const TAGS = ['<think>', '</think>', '<tool_call>', '</tool_call>'];
const WORDS = [
  'assistant',
  ' to=functions.f',
  'final',
  'analysis',
  'json',
  '```\n',
  ' ',
  '\n',
  'é',
  '🦙',
  '\ufffd',
  'a',
  'b',
  ' the',
];
const CALL = '{"name": "f", "arguments": {}}';
const TEMPLATE =
  '{{ tools }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

/**
 * A tokenizer of bytes and letters, with spaces or with space marks, and added tokens.
 *
 * @param {{ special: string[], tags: string[], template?: string, marks: boolean }} kind
 */
function tokenizerOf({ special, tags, template, marks }) {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const letters = [...'abcdefghijklmnopqrstuvwxyz_=.:{}",', ...(marks ? ['▁'] : [' '])];
  const plain = [...bytes, ...letters];
  const found = { normalized: false, single_word: false, lstrip: false, rstrip: false };
  const added = [...special, ...tags].map((content, i) => ({
    id: plain.length + i,
    content,
    special: i < special.length,
    ...found,
  }));
  const replace = (/** @type {string} */ from, /** @type {string} */ content) => ({
    type: 'Replace',
    pattern: { String: from },
    content,
  });
  const toText = [{ type: 'ByteFallback' }, { type: 'Fuse' }];
  const decoders = marks ? [replace('▁', ' '), ...toText, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : toText;
  const vocab = Object.fromEntries(plain.map((token, id) => [token, id]));
  return new Tokenizer({
    tokenizer: {
      added_tokens: added,
      normalizer: marks ? replace(' ', '▁') : null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: 'Sequence', decoders },
      model: { type: 'BPE', vocab, merges: [], byte_fallback: true, unk_token: null },
    },
    config: {},
    chatTemplate: template,
  });
}

const KINDS = [
  { name: 'plain', special: SPECIAL.slice(-2), tags: TAGS.slice(2), template: TEMPLATE, marks: false },
  { name: 'think', special: SPECIAL.slice(-2), tags: TAGS, template: `${TEMPLATE}{# </think> #}`, marks: false },
  { name: 'think, spelled', special: SPECIAL.slice(-2), tags: [], template: `${TEMPLATE}{# </think> #}`, marks: true },
  { name: 'think, marks', special: SPECIAL.slice(-2), tags: TAGS, template: `${TEMPLATE}{# </think> #}`, marks: true },
  { name: 'harmony', special: SPECIAL, tags: [], template: undefined, marks: false },
];
/** @type {(typeof KINDS[number] & { tokenizer: Tokenizer })[]} */
let kinds = [];

/** @param {Random} random @param {number} most */
function text(random, most) {
  const parts = [...SPECIAL, ...TAGS, ...TAGS, ...WORDS, CALL, `<tool_call>${CALL}</tool_call>`];
  return Array.from({ length: random.int(most) }, () => random.pick(parts)).join('');
}

/** @param {string} whole @param {Random} random */
function pieces(whole, random) {
  const cut = [];
  for (let at = 0; at < whole.length;) cut.push(whole.slice(at, (at += random.int(7))));
  return cut;
}

/** @param {readonly { content: string }[]} spans */
const contents = (spans) => spans.map(({ content }) => content).join('');

/**
 * Parsers: the division of the text into pieces makes no difference, no character is lost or added, and reasoning occurs once.
 * @param {Random} random
 */
function parsed(random) {
  const format = random.pick(/** @type {const} */ (['think', 'harmony']));
  const open = random.pick([undefined, 'final', format === 'think' ? 'reasoning' : 'analysis']);
  const whole = text(random, 20);
  const spans = parseChannels(format, whole, { open });
  const parser = channelParser(format, { open });
  const inPieces = pieces(whole, random).flatMap((piece) => parser.push(piece));
  assert.deepEqual(joinSpans([...inPieces, ...parser.end()]), spans);
  if (format === 'harmony') return 'harmony parsed';
  once(spans);
  const [thought, said] = ['reasoning', 'final'].map((name) =>
    contents(spans.filter(({ channel }) => channel === name)),
  );
  const tagged = [
    thought + said,
    `<think>${thought}${said}`,
    `${thought}</think>${said}`,
    `<think>${thought}</think>${said}`,
  ];
  // White space before the first tag is left out, or precedes a tag that the model repeats.
  const squeezed = (/** @type {string} */ string) =>
    string.replace(/^(\s*)<think>/, '<think>$1').replace(/^((?:<think>)?)\s*/, '$1');
  assert.ok(tagged.map(squeezed).includes(squeezed(whole)), 'characters were lost or added');
  return 'think parsed';
}

/** @param {readonly ChannelSpan[]} spans */
function once(spans) {
  const channels = spans.map(({ channel }) => channel);
  assert.ok(channels.lastIndexOf('reasoning') <= 0, 'reasoning that is not at the beginning, or occurs twice');
  assert.ok(channels.length <= 2, 'more than one answer after the reasoning');
}

/**
 * @param {Tokenizer} tokenizer @param {readonly number[]} before @param {readonly number[]} tokens
 * @param {readonly (string | number)[]} stops
 */
function answer(tokenizer, before, tokens, stops) {
  const stopIds = new Set(/** @type {number[]} */ (stops.filter((stop) => typeof stop === 'number')));
  const stopStrings = /** @type {string[]} */ (stops.filter((stop) => typeof stop === 'string'));
  const reader = new Answer(tokenizer, before, { stopIds, stopStrings });
  const steps = [];
  for (const [i, token] of tokens.entries()) {
    steps.push(reader.push(token, i === tokens.length - 1));
    if (steps.at(-1)?.finishReason !== undefined) break;
  }
  const spans = steps.flatMap((step) => step.spans ?? []);
  return {
    steps,
    text: contents(steps.map(({ text }) => ({ content: text }))),
    spans: joinSpans(spans),
    last: steps[steps.length - 1],
  };
}

/** @param {Random} random */
function answered(random) {
  const { name, tokenizer } = random.pick(kinds);
  const encode = (/** @type {string} */ spelled) => tokenizer.encode(spelled, { addSpecialTokens: false });
  const before = encode(
    random.pick(['', 'a b', '<|im_start|>assistant\n', '<|im_start|>assistant\n<think>\n', text(random, 6)]),
  );
  const tokens = encode(text(random, 16));
  if (random.chance(0.2)) tokens.splice(random.int(tokens.length + 1), 0, random.int(256));
  if (tokens.length === 0) return 'empty';
  const whole = answer(tokenizer, before, tokens, []);
  assert.equal(whole.last.finishReason, 'length');
  if (name !== 'plain') assert.equal(whole.text, contents(whole.spans));
  if (name.startsWith('think')) {
    once(whole.spans);
    const said = contents(whole.spans.filter(({ channel }) => channel === 'final'));
    assert.ok(
      (whole.last.toolCalls ?? []).length <= said.split('<tool_call>').length - 1,
      'a tool call that is not in the answer',
    );
  }
  if (name === 'plain') assert.equal(whole.text, continuation(tokenizer, before, tokens));

  const special = random.chance(0.5);
  const stop = special
    ? around(random, random.pick(tokenizer.channelFormat === 'harmony' ? SPECIAL : SPECIAL.slice(-2)))
    : random.pick([' ', 'b', 'the', 'e\n', 'ant', '```']);
  const stopped = answer(tokenizer, before, tokens, [stop]);
  // A stop string must not change the text before it. Exempt: invalid UTF-8 beside a special token.
  if (!(special && whole.text.includes('\ufffd'))) {
    assert.ok(whole.text.startsWith(stopped.text), 'a stop string changed the text before it');
    assert.ok(
      stopped.text.length < whole.text.length || stopped.last.finishReason === 'length' || special,
      'stopped without a stop string',
    );
  }
  for (const span of stopped.spans) assert.ok(!span.content.includes(stop), 'a stop string within a message');
  if (name === 'plain') assert.ok(!stopped.text.includes(stop), 'a stop string in the text');
  const id = tokenizer.idOf(stop);
  if (special && id !== undefined && tokens.includes(id) && !whole.text.includes('\ufffd')) {
    const byId = answer(tokenizer, before, tokens, [id]);
    assert.deepEqual(
      [stopped.text, stopped.last.finishReason, stopped.steps.length],
      [byId.text, 'stop', byId.steps.length],
    );
  }
  return `${name}: ${stopped.last.finishReason}`;
}

/**
 * The text that `tokens` add to a text.
 * @param {Tokenizer} tokenizer
 * @param {readonly number[]} before
 * @param {readonly number[]} tokens
 */
function continuation(tokenizer, before, tokens) {
  const stream = tokenizer.stream({
    skipSpecialTokens: true,
    ...(!tokenizer.turns.beginsAnswer(before) && { after: before }),
  });
  return tokens.map((id) => stream.push(id)).join('') + stream.end();
}

/** @param {Random} random @param {string} token */
const around = (random, token) =>
  random.pick(['', '', 'a', 'b', ' ', '\n']) + token + random.pick(['', '', 'a', 'b', 'assistant']);

export default {
  about:
    'an answer has reasoning once, loses and adds no character, calls no tool in its reasoning, and has no stop string, however it is divided',
  limit: { seconds: 2, megabytes: 512 },
  setup() {
    kinds = KINDS.map((kind) => ({ ...kind, tokenizer: tokenizerOf(kind) }));
  },
  /** @param {Random} random */
  run: (random) => (random.chance(0.3) ? parsed(random) : answered(random)),
};
