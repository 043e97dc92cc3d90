// What heads attend to: scores of previous-token, duplicate-token and induction heads, and which heads write an answer.
// Run after `npm start` or `npm run build`:
//   node examples/heads.mjs [model]
import { inductionScores, load, logitAttribution } from 'vitrine';
import { source } from './model.mjs';

const model = await load(source);
const { nHeads } = model.config;
/** @param {Float32Array} values */
const best = (values, count = 3) =>
  [...values.keys()]
    .sort((a, b) => values[b] - values[a])
    .slice(0, count)
    .map((at) => `${Math.floor(at / nHeads)}.${at % nHeads} (${values[at].toFixed(2)})`)
    .join(', ');

const scores = inductionScores(model, { half: 24 });
console.log(`previous token:  ${best(scores.previousToken)}`);
console.log(`duplicate token: ${best(scores.duplicateToken)}`);
console.log(`induction:       ${best(scores.induction)}`);
console.log(`first token:     ${best(scores.firstToken)}`);

const prompt = 'When Mary and John went to the store, John gave a drink to';
const parts = logitAttribution(model, prompt, { answer: ' Mary', wrong: ' John' });
console.log(`" Mary" over " John" by ${parts.total.toFixed(2)}; heads that write it: ${best(parts.heads, 5)}`);

model.dispose();
