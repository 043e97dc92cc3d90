// Load a model, generate an answer, and score texts by their probability. Run after `npm start` or `npm run build`:
//   node examples/generate.mjs [model]
import { load } from 'vitrine';
import { source } from './model.mjs';

const model = await load(source);

const question = [{ role: 'user', content: 'Name three primary colors.' }];
for await (const { text } of model.generate(question, { maxTokens: 60, temperature: 0 })) process.stdout.write(text);
console.log('\n');

for (const text of ['The cat sat on the mat.', 'The mat sat on the cat.', 'Mat the on sat cat the.']) {
  const { nll, perplexity } = model.score(text);
  console.log(`${text}  ${nll.toFixed(1)} nats, perplexity ${perplexity.toFixed(1)}`);
}

model.dispose();
