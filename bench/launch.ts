// A process of its own, as a user starts one: how long until the model is loaded, and until its first token.
// Prints one JSON object; times in ms.
import { load } from 'vitrine';
import { benchOptions } from './options.ts';
import { promptOf } from './prompt.ts';

const { model: source, pp, backend, weights, threads } = benchOptions(process.argv.slice(2));
const begun = performance.now(); // Since the process was launched, like all of its times.
const model = await load(source, { backend, weights, threads });
const loaded = performance.now();
await model.generate(promptOf(model, pp), { maxTokens: 1, temperature: 0, ignoreEos: true }).next();
const firstToken = performance.now();
model.dispose();
console.log(JSON.stringify({ load: loaded - begun, firstToken, peakRss: process.resourceUsage().maxRSS * 1024 }));
