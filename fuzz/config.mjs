import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planNetwork } from '../dist/engine/load/plan-network.js';
import { openModel, VitrineError } from '../dist/index.js';

/** @typedef {import('./random.mjs').Random} Random */

const FIXTURES = join(import.meta.dirname, '..', 'test', 'fixtures', 'models');
const MODELS = readdirSync(FIXTURES).filter((name) => !name.includes('.'));
const FILES = ['config.json', 'generation_config.json', 'model.safetensors.index.json'];
const folder = mkdtempSync(join(tmpdir(), 'vitrine-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Values in JSON, some of which only Python can read. */
const VALUES = [
  'null',
  'true',
  'false',
  '0',
  '-1',
  '1',
  '2',
  '1.5',
  '1e9',
  '1e308',
  '9007199254740993',
  '1e999',
  'NaN',
  'Infinity',
  '-Infinity',
  '""',
  '"silu"',
  '"yarn"',
  '[]',
  '{}',
  '[1]',
  '[[[]]]',
  '{"a":{}}',
  '"__proto__"',
  '["sliding_attention"]',
  '{"rope_type":"dynamic","factor":1e30}',
  '{"type":"yarn","factor":NaN}',
  '["full_attention","full_attention"]',
];

/** @param {any} value @param {Random} random @returns {string} */
function mutatedJson(value, random) {
  if (Array.isArray(value)) return `[${value.map((item) => mutatedJson(item, random)).join()}]`;
  if (typeof value !== 'object' || value === null)
    return random.chance(0.02) ? random.pick(VALUES) : JSON.stringify(value);
  const members = Object.entries(value).flatMap(([key, item]) => {
    if (random.chance(0.02)) return [];
    const name = random.chance(0.01)
      ? random.pick(['__proto__', 'constructor', 'head_dim', 'text_config', 'rope_parameters', 'layer_types'])
      : key;
    return [`${JSON.stringify(name)}:${random.chance(0.04) ? random.pick(VALUES) : mutatedJson(item, random)}`];
  });
  return `{${members.join()}}`;
}

export default {
  about:
    'mutated config.json and index of small models: a VitrineError with a short message, or a network no larger than the stored weights allow',
  limit: { seconds: 2, megabytes: 512 },
  /** @param {Random} random */
  async run(random) {
    const model = random.pick(MODELS);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const name of readdirSync(join(FIXTURES, model))) {
      const source = join(FIXTURES, model, name);
      if (!FILES.includes(name)) {
        if (!name.startsWith('token')) symlinkSync(source, join(folder, name));
        continue;
      }
      let text = mutatedJson(JSON.parse(readFileSync(source, 'utf8')), random);
      if (random.chance(0.1))
        text =
          text.slice(0, random.int(text.length)) +
          random.pick(['', '}', ',', '"']) +
          text.slice(random.int(text.length));
      writeFileSync(join(folder, name), text);
    }
    try {
      const files = await openModel(folder, { allowLinks: true });
      try {
        const { weightBytes } = planNetwork(files, { weights: random.pick(['auto', 'f32', 'bf16']) });
        let stored = 0;
        for (const { bytes } of files.checkpoint.tensors.values()) stored += bytes;
        // 32 numbers have 17 bytes in MXFP4, and 128 in f32.
        if (!(weightBytes <= 8 * stored))
          throw new Error(`${model}: ${weightBytes} bytes of weights from ${stored} stored`);
        return 'planned';
      } finally {
        await files.checkpoint.close();
      }
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      if (error.message.length > 2000)
        throw new Error(`a message of ${error.message.length} characters`, { cause: error });
      return 'refused';
    }
  },
};
