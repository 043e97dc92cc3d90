// The logit lens: what each layer would predict if it were the last. Run after `npm start` or `npm run build`:
//   node examples/logit-lens.mjs [model]
import { load, logitLens } from 'vitrine';
import { source } from './model.mjs';

const model = await load(source);
const prompt = 'When Mary and John went to the store, John gave a drink to';
const lens = logitLens(model, prompt, { top: 1, tokens: [' Mary'] });
const [rows, T] = lens.shape;
/** @param {number} id */
const text = (id) => JSON.stringify(model.tokenizer.decode([id]));

console.log(`after ${text(lens.prompt[T - 1])}: the most likely token, and the rank of " Mary"`);
for (let layer = 0; layer < rows; layer++) {
  const { ids, logits } = lens.places[layer][T - 1];
  const rank = lens.tokens[0].ranks[layer * T + T - 1];
  console.log(
    `  before layer ${String(layer).padStart(2)}: ${text(ids[0]).padEnd(14)} ${logits[0].toFixed(1).padStart(6)}  ${rank}`,
  );
}

model.dispose();
