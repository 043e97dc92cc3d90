// Why this token: what each stage of the sampler did to the distribution. Run after `npm start` or `npm run build`:
//   node examples/sampler.mjs [model]
import { load, samplerTrace } from 'vitrine';
import { source } from './model.mjs';

const model = await load(source);
const prompt = 'The best thing about the sea is the';
const options = {
  maxTokens: 6,
  temperature: 0.8,
  topK: 20,
  topP: 0.9,
  repetitionPenalty: 1.3,
  seed: 7,
  alternatives: 4,
};

console.log(prompt);
for await (const { token, random, interval, stages, alternatives } of samplerTrace(model, prompt, options)) {
  const chosen = alternatives.find((one) => one.token === token);
  const [from, to] = interval.map((x) => x.toFixed(3));
  console.log(`\n${JSON.stringify(chosen?.text)}, because ${random.toFixed(3)} lies in ${from} to ${to}`);
  for (const { name, possible, entropy } of stages)
    console.log(
      `  after ${name.padEnd(18)} ${String(possible).padStart(6)} tokens, entropy ${entropy.toFixed(2)} nats`,
    );
  for (const { text, rank, probabilities, removedBy } of alternatives) {
    const shares = probabilities.map((p) => `${(100 * p).toFixed(1)}%`.padStart(6)).join(' ');
    console.log(
      `  ${JSON.stringify(text).padEnd(14)} rank ${String(rank).padEnd(4)} ${shares} ${removedBy ? `removed by ${removedBy}` : ''}`,
    );
  }
}
model.dispose();
