// Read, ablate and steer the features of a sparse autoencoder. Run after `npm start` or `npm run build`:
//   node examples/sae.mjs [model] [folder of an autoencoder in SAELens' form]
// Without a folder, a small autoencoder is made of the model itself: a feature for each of some topics, whose direction is the mean
// of the topic's words less that of all words.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { load, loadSae, saeFeatures, writeSafetensors } from 'vitrine';
import { source } from './model.mjs';

const model = await load(source);
/** @type {Record<string, readonly string[]>} */
const TOPICS = {
  animals: ['dog', 'cat', 'horse', 'rabbit', 'tiger', 'cow'],
  food: ['bread', 'cheese', 'soup', 'rice', 'cake', 'butter'],
  colours: ['red', 'blue', 'green', 'yellow', 'purple', 'orange'],
  cities: ['London', 'Paris', 'Berlin', 'Rome', 'Madrid', 'Tokyo'],
  numbers: ['two', 'three', 'five', 'seven', 'nine', 'twelve'],
  body: ['hand', 'foot', 'head', 'arm', 'knee', 'finger'],
};
const names = Object.keys(TOPICS);
const folder =
  process.argv[3] ?? (await makeAutoencoder(`blocks.${Math.floor(model.config.nLayers / 2)}.hook_resid_post`));
const sae = await loadSae(model, folder);
const { dSae, architecture } = sae.config;
console.log(`${architecture} autoencoder at ${sae.hook}, ${dSae} features`);

const prompt = 'My friend in London gave her old dog some cheese and a blue ball';
const words = model.tokenizer.encode(prompt).map((id) => model.tokenizer.decode([id]));
const features = saeFeatures(model, prompt, sae); // [T, d_sae]
const values = features.data();
features.dispose();
/** @param {number} feature */
const nameOf = (feature) => (process.argv[3] ? String(feature) : names[feature]);
words.forEach((word, position) => {
  if (position === 0) return; // Its residual stream is a hundred times as long as the others', whatever the word.
  const own = [...values.subarray(position * dSae, (position + 1) * dSae).entries()];
  const top = own
    .filter(([, value]) => value > 0)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 3);
  console.log(
    `  ${JSON.stringify(word).padEnd(12)} ${top.map(([feature, value]) => `${nameOf(feature)} ${value.toFixed(2)}`).join(', ')}`,
  );
});

const later = values.subarray(dSae); // Without the first position.
const strongest = later.reduce((best, value, at) => (value > later[best] ? at : best), 0) % dSae;
const added = 1.5 * later.reduce((most, value) => Math.max(most, value), 0);
const question = 'At the weekend I like to talk about';
for (const [what, edit] of /** @type {const} */ ([
  ['as it is', {}],
  [`without ${nameOf(strongest)}`, sae.ablate(strongest)],
  [`steered to ${nameOf(strongest)}`, sae.steer(strongest, added)],
])) {
  let text = '';
  for await (const token of model.generate(question, { maxTokens: 12, temperature: 0, edit })) text += token.text;
  console.log(`${what}: ${question}${text.replaceAll('\n', ' ')}`);
}
sae.dispose();
model.dispose();

/**
 * Writes an autoencoder whose features are the topics.
 *
 * @param {string} hook
 */
async function makeAutoencoder(hook) {
  const D = model.config.dim;
  const rows = Object.values(TOPICS).map((topic) => topic.map((word) => lastRow(`I talked about the ${word}`, hook)));
  const centre = mean(rows.flat());
  const directions = rows.map((topic) => unit(mean(topic).map((value, i) => value - centre[i])));
  const F = directions.length;
  const W_enc = new Float32Array(D * F); // [D, F]
  directions.forEach((direction, feature) => {
    direction.forEach((value, i) => (W_enc[i * F + feature] = value));
  });
  // A feature is active from half of what it is on its own topic's words.
  const threshold = Float32Array.from(rows, (topic, feature) => {
    const own = mean(topic).reduce((sum, value, i) => sum + (value - centre[i]) * directions[feature][i], 0);
    return own / 2;
  });
  const made = await mkdtemp(join(tmpdir(), 'vitrine-topics-'));
  /** @param {readonly number[]} shape @param {Float32Array} data */
  const tensor = (shape, data) => ({ dtype: /** @type {const} */ ('F32'), shape, data });
  await writeSafetensors(join(made, 'sae_weights.safetensors'), {
    W_enc: tensor([D, F], W_enc),
    b_enc: tensor([F], new Float32Array(F)),
    W_dec: tensor([F, D], Float32Array.from(directions.flatMap((direction) => [...direction]))),
    b_dec: tensor([D], centre),
    threshold: tensor([F], threshold),
  });
  const metadata = { sae_lens_version: '6.0.0', hook_name: hook };
  const cfg = { architecture: 'jumprelu', d_in: D, d_sae: F, apply_b_dec_to_input: true, metadata };
  await writeFile(join(made, 'cfg.json'), JSON.stringify(cfg));
  return made;
}

/** @param {string} text @param {string} hook */
function lastRow(text, hook) {
  const { acts, dispose } = model.run(text, { capture: [hook], until: hook });
  const row = acts[hook].data().slice(-model.config.dim);
  dispose();
  return row;
}

/** @param {readonly Float32Array[]} rows */
function mean(rows) {
  return rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
}

/** @param {Float32Array} row */
function unit(row) {
  const norm = Math.hypot(...row);
  return row.map((value) => value / norm);
}
