// What activations are like: norms by layer and position, outliers, and the tokens at which neurons are most active. Run after
// `npm start` or `npm run build`:
//   node examples/activations.mjs [model]
import { activationStatistics, load, topActivations } from 'vitrine';
import { source } from './model.mjs';

const model = await load(source);
const prompt = 'When Mary and John went to the store, John gave a drink to';

console.log('residual stream after each layer: norms at the first four positions, and the largest number');
for (const { layer, norms, outliers, kurtosis, nan, infinite } of activationStatistics(model, prompt, {
  outliers: 1,
})) {
  const shown = [...(norms ?? [])].slice(0, 4).map((norm) => norm.toFixed(1).padStart(8));
  const [{ index, value, deviations }] = outliers;
  console.log(
    `  layer ${String(layer).padStart(2)}: ${shown.join(' ')}   [${index.join(', ')}] = ${value.toFixed(1)} ` +
      `(${deviations.toFixed(0)} deviations), kurtosis ${kurtosis.toFixed(0)}, not finite ${nan + infinite}`,
  );
}

const texts = [
  'The cat chased the mouse across the kitchen floor.',
  'Paris is the capital of France, and Rome the capital of Italy.',
  'for (let i = 0; i < n; i++) sum += values[i];',
  'In 1969 the first man walked on the Moon.',
  'She bought three apples, two pears and a loaf of bread.',
  'The doctor told the patient to rest for a week.',
];
const hook = `blocks.${Math.floor(model.config.nLayers / 2)}.mlp.hook_post`;
console.log(`\n${hook}: where neurons are most active`);
for (const { neuron, top } of await topActivations(model, texts, {
  hook,
  neurons: [0, 1, 2, 3, 4, 5],
  k: 3,
  context: 3,
})) {
  const places = top.map(
    ({ activation, before, token, after }) =>
      `${activation.toFixed(2)} ${JSON.stringify(before)}>${JSON.stringify(token)}<${JSON.stringify(after)}`,
  );
  console.log(`  neuron ${neuron}: ${places.join('\n            ')}`);
}
model.dispose();
