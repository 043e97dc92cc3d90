// Steer a model by the difference of two sets of texts. Run after `npm start` or `npm run build`:
//   node examples/steering.mjs [model]
import { load, steering, steeringVector } from 'vitrine';
import { source } from './model.mjs';

const model = await load(source);
const hook = `blocks.${Math.floor(model.config.nLayers * 0.4)}.hook_resid_pre`;
const vector = steeringVector(model, {
  hook,
  towards: [
    'I love this, it is wonderful',
    'What a beautiful and happy day',
    'She was delighted with the excellent gift',
    'The food was delicious and great',
  ],
  away: [
    'I hate this, it is terrible',
    'What an ugly and sad day',
    'She was angry about the awful gift',
    'The food was disgusting and bad',
  ],
});
console.log(`${hook}: ${vector}\n`);

const prompt = 'I went to see the new film yesterday and I thought it was';
for (const coefficient of [-2, 0, 2]) {
  let text = '';
  const edit = { [hook]: steering(vector, coefficient) };
  for await (const token of model.generate(prompt, { maxTokens: 16, temperature: 0, edit })) text += token.text;
  console.log(`${String(coefficient).padStart(2)}: ${prompt}${text.replaceAll('\n', ' ')}`);
}
vector.dispose();
model.dispose();
